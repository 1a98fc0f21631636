suite "s" {}
agent "a" {}
agent "b" {}
path "p" { mesh = [agent.a, agent.b] }
profile "udp" "v" { rate = "50pps" }
profile "udp" "both" {
  rate      = "50pps"
  direction = "both"
}
locals { secret = sensitive(1) }
test "t" {
  path    = path.p
  profile = profile.udp.v
  assert "metric" { condition = dely.p99 < 1 } #! Unknown metric
  assert "bare" { condition = delay < 60 * ms } #! Metric needs a member
  assert "bool" { condition = delay.p99 + 1 } #! Condition is not true or false
  assert "fn" { condition = abz(delay.p99) < 1 } #! Unknown function
  assert "ref" { condition = delay.p99 < var.nope } #! Unknown reference
  assert "secret" { condition = delay.p99 < local.secret } #! Sensitive value in an assertion
  assert "limit" { condition = delay.p99 < 1 / 0 % 2 } #! Invalid expression | no result
  assert "const" { condition = 1 < 2 } #! Condition uses no metric
}
test "both" {
  path    = path.p
  profile = profile.udp.both
  assert "ok" { condition = forward.delay.p99 < 1 }
  assert "dir" { condition = delay.p99 < 1 } #! Ambiguous direction
}
test "each" {
  for_each = toset(["x", "y"])
  path     = path.p
  profile  = profile.udp.v
  assert "once" { condition = delay.p99 < local.nope } #! Unknown reference
}
