suite "s" {}
variable "v" { default = 1 } #? Unused declaration | var.v
locals { l = 1 } #? Unused declaration | local.l
agent "a" {} #? Unused declaration | agent.a
agents "s" { where = tags.role == "x" } #? Unused declaration | agents.s
agent "member" { tags = { role = "x" } }
link "k" {} #? Unused declaration
path "p" { #? Unused declaration
  from = agent.member
  to   = "host.example"
}
profile "rtt" "r" {} #? Unused declaration
