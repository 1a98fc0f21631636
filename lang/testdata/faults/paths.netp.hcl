suite "s" {}
agent "a" {
  interface "wan1" {}
}
agent "b" {
  interface "wan2" {}
}
agent "c" {}
agents "all" { where = true }
link "l" { capacity = "1Gbps" }
path "shape" {
  mesh = [agent.a, agent.b] #! Conflicting arguments
  from = agent.a
}
path "none" {} #! Missing argument | "mesh"
path "half" { #! Missing argument | "to"
  from = agent.a
}
path "text" {
  from = "a" #! Wrong type | Did you mean agent.a
  to   = "not a host!" #! Invalid endpoint
}
path "quoted" {
  from = agent.b
  to   = "a" #? Suspicious endpoint | Did you mean agent.a
}
path "creds" {
  from = agent.b
  to   = "https://u:p@x.example/" #! Invalid endpoint | user or password
}
path "self" {
  from = agent.a
  to   = agent.a #! Empty path | the same agent
}
path "via" {
  mesh = [agent.a, agent.b]
  via  = "wan3" #! Unknown interface | Did you mean "wan1"?
}
path "via2" {
  mesh = [agent.a, agent.b]
  via  = "wan1" #? Unknown interface | agent.b declares interfaces
}
path "via3" {
  from = agent.c
  to   = "host.example"
  via  = "wan1" #? Unknown interface | default addresses
}
path "except" {
  mesh   = [agent.a, agent.b]
  except = ["a->x", "ab"] #! Unknown pair | none of its destinations #! Unknown pair | "source->destination"
  links  = [link.l, agent.a] #! Invalid reference | link.NAME
}
path "both" {
  mesh            = [agent.a, agent.b]
  both_directions = true #! Conflicting arguments
}
path "url" {
  from = agents.all
  to   = "https://x.example/"
}
path "ok" { mesh = [agent.a, agent.b] }
profile "rtt" "r" {}
profile "tcp" "t" {}
profile "http" "h" {}
test "url" {
  path    = path.url #! Destination the kind cannot measure | URL
  profile = profile.rtt.r
}
test "agents" {
  path    = path.ok #! Destination the kind cannot measure | endpoints
  profile = profile.http.h
}
test "only" {
  path    = [path.via3, path.ok] #! Destination the kind cannot measure | between agents only
  profile = profile.tcp.t
}
test "pair" {
  path    = [path.ok["a->c"], path.ok["a->b"], path.nope["x"]] #! Unknown pair | none of its destinations #! Unknown reference
  profile = profile.rtt.r
}
test "empty" {
  path    = [] #! Empty path
  profile = profile.rtt.r
}
