suite "s" {}
variable "none" { default = {} }
agent "a" {}
agent "b" {
  for_each = var.none
  dynamic "interface" {
    for_each = each.value
    iterator = port
    labels   = [port.key]
    content {
      address = port.value.address
      device  = prt.value #! Unknown reference | Did you mean "port"?
    }
  }
}
agent "d" {
  dynamic "interface" {
    for_each = var.none
    iterator = port
    labels   = [prt.key] #! Unknown reference | Did you mean "port"?
    content {
      address = "${port.value}${self.name}"
      device  = local.nowhere #! Unknown reference | Nothing is declared as local.nowhere.
    }
  }
}
agents "set" {
  for_each = var.none
  where    = tags.x == each.key && tag.y == "1" #! Unknown reference | Did you mean "tags"?
}
path "p" {
  for_each = var.none
  mesh     = [agent.a, agent.c] #! Unknown reference | Nothing is declared as agent.c.
}
profile "udp" "v" { rate = "50pps" }
test "t" {
  for_each = var.none
  path     = path.p[each.key]
  profile  = profile.udp.w #! Unknown reference | Did you mean "profile.udp.v"?
  tags     = { a = upperr(self.name) } #! Unknown function | Did you mean "upper"?
  assert "x" {
    condition = delay.p99 < each.value * ms && delay.p50 < var.nope #! Unknown reference
    message   = "${delay.p99 / ms} ms"
  }
}
