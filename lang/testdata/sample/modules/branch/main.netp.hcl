variable "site" {
  type = string
}

agent "cpe" {
  name = "cpe-${var.site}"
  tags = { site = var.site, role = "cpe" }
}

agent "ap" {
  name = "ap-${var.site}"
}

path "inside" {
  from            = agent.cpe
  to              = agent.ap
  both_directions = true
}

profile "rtt" "ping" {
  duration = "PT1M"
}

test "inside" {
  path    = path.inside
  profile = profile.rtt.ping

  assert "delay" { condition = rtt.p99 <= 5 * ms }
}
