http      = "8640"                 #! Invalid value | [HOST]:PORT
retention = "90 days"              #! Wrong unit | not a unit of time
repository "a" { branch = "main" } #! Missing argument | needs the argument "url"
repository "b" { #! Missing argument | only one of ssh_key and known_hosts
  url      = "ssh://git@x/y"
  ssh_key  = "k"
  interval = "10ms"                #! Invalid value | at least 1 s
  env      = ["NOWHERE"]           #! Invalid value | no variable NOWHERE
  brnach   = "x"                   #! Unknown argument | Did you mean "branch"?
}
directory "b" { path = "x" }       #! Invalid value | There is a repository "b", too
directory "../c" { path = "x" }    #! Invalid name | is no name for
sink "jsonl" "a" { path = "x" }
sink "jsonl" "a" { path = "y" }    #! Invalid value | declared twice
sink "jsonl" { }                   #! Wrong number of labels | sink "TYPE" "NAME"
plugin "x" { #! Missing argument | "source"
  version = "two"                  #! Invalid value | not a version constraint
}
