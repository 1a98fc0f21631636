suite "s" {
  descripton = "x" #! Unknown argument | Did you mean "description"?
  confidence = 95 #! Value out of range | more than 0.5
  family     = "all" #! Invalid value | must be one of "assertion", "run"
}
suite "other" {} #! Duplicate block | line 1
agnet "a" {} #! Unknown block | Did you mean "agent"?
agent "a" "b" {} #! Wrong number of labels | agent "NAME" { … }
agent {} #! Wrong number of labels
agent "7up" {} #! Invalid name | begins with a letter
agent "x" {
  tags = ["a"] #! Wrong type | must be an object
  name = "-bad-" #! Invalid name | cannot register
  interface = { address = "1" } #! Unknown argument | is a block here
  interface "a" {
    address = "10.0.0.1/24" #! Invalid value | without a prefix length
    capacity = "10MB" #! Wrong unit | one byte is eight bits
    netns = "../x" #! Invalid name
  }
  interface "a" {} #! Duplicate declaration | already has an interface
  tags_block {} #! Unknown block | There is: interface
}
agent "dup" {}
agent "dup" {} #! Duplicate declaration | line 23
agent "one" { name = "same" }
agent "two" { name = "same" } #! Duplicate agent name | line 25
test "t" { #! Missing argument | "path" #! Missing argument | "profile"
  every = "5m"
  cron  = "0 2 * * *" #! Conflicting arguments | Remove one of them
}
test "u" {
  path = 5 #! Invalid reference
  profile = "voice" #! Invalid reference | profile.KIND.NAME
  cron = "99 2 * * *" #! Invalid schedule | not a cron expression
  time_zone = "Mars/Base" #! Invalid schedule | IANA
  slip = "ten" #! Wrong unit | is not a duration
}
test "v" {
  path = path.p
  profile = profile.rtt.r
  every = "1ms" #! Value out of range
  time_zone = "UTC" #! Conflicting arguments
  assert "x" {} #! Missing argument | "condition"
  assert "y" {
    condition = rtt.p99 < 1
    severity = "fatal" #! Invalid value | "error", "warning"
    confidence = 1 #! Value out of range
  }
  assert "y" { condition = rtt.p99 < 1 } #! Duplicate declaration
}
path "p" { mesh = [agent.x, agent.dup] }
profile "rtt" "r" {}
netp {
  required_version = ">= 99" #! Unsupported version | this is netp 0.5.0
  controller = "netp.example" #! Invalid value | https://
  plugin "p" { version = "abc" } #! Missing argument | "source" #! Invalid value | version constraint
}
