suite "s" {}
variable "limit" { default = 1 }
locals {
  a = local.b
  b = local.a #! Reference cycle | local.a → local.b → local.a
  c = var.limt #! Unknown reference | Did you mean "var.limit"?
  d = foo.bar #! Unknown reference | no "foo" here
  e = var #! Invalid reference | var.NAME
  f = limit + 1 #! Unknown reference | Did you mean "var.limit"?
  g = each.key #! Invalid reference | has for_each
  h = upperr("x") #! Unknown function | Did you mean "upper"?
  i = length(5) #! Invalid function argument
  j = 1 + "x" #! Invalid operand
  k = mss #! Unknown reference | Did you mean "ms"?
  l = agent.syd.nam #! Unsupported attribute
  m = profile.udp #! Invalid reference | profile.KIND.NAME
  n = self.name #! Invalid reference
  o = log(-1, 10) #! Error in function call | "log" failed: for these values there is no result
  p = sum([1 / 0, -1 / 0]) #! Error in function call | no result
  r = format("%[99999999999999999999]s %d", "1") #! Invalid function argument | at most three digits
  q = 1 / 0 % 2 #! Operation failed | Error during operation: for these values there is no result
}
agent "syd" {}
agent "many" {
  for_each = ["a", "b"] #! Invalid for_each | toset
}
agent "more" {
  for_each = null #! Invalid for_each | null
}
agent "secret" {
  for_each = toset([sensitive("x")]) #! Sensitive value not allowed
}
agent "named" {
  name = sensitive("x") #! Sensitive value not allowed
}
agents "w" { where = tags.x == "1" && 5 } #! Invalid operand
agents "w2" { where = tags.x } #! Wrong type | must be true or false
agents "w3" { where = tag.x == "1" } #! Unknown reference | Did you mean "tags"?
agents "w5" { where = 1 / 0 % 2 == 1 } #! Operation failed | no result
agents "w6" { where = tags.x == file("main.netp.hcl") } #! Unknown function | "file" cannot be used in where, which has the functions that need neither file nor environment
agents "w4" {} #! Missing argument | "where"
path "p" {
  mesh = [agent.syd, agent.sid] #! Unknown reference | Did you mean "agent.syd"?
}
path "q" { mesh = [agent.syd] } #! Empty path | at least two
path "r" {
  from = [] #! Empty path | no agent
  to = agent.syd
}
