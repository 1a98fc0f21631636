# Three agents on this machine, real traffic between them. Run it with
#
#   netp apply testsuites/quickstart
#
# then change 50 * ms to 1 * us and run it again to see a failing suite.

suite "quickstart" {
  description = "Two sites and a hub on loopback"
  tags        = { owner = "you" }
}

variable "max_loss" {
  type        = number
  default     = 1
  description = "Tolerated loss in percent"
}

agent "hub" {
  tags = { role = "hub" }
}

agent "site" {
  for_each = toset(["north", "south"])
  name     = each.key
  tags     = { role = "site", site = each.key }
}

path "spokes" {
  from            = agent.site
  to              = agent.hub
  both_directions = true
}

path "uplinks" {
  from = agent.site
  to   = agent.hub
}

profile "rtt" "probe" {
  interval = "5ms"
  duration = "2s"
}

profile "udp" "voice" {
  rate     = "400pps"
  size     = 172
  dscp     = "ef"
  duration = "2s"
}

profile "tcp" "bulk" {
  duration = "1s"
}

test "reach" {
  path    = path.spokes
  profile = profile.rtt.probe

  assert "latency" { condition = rtt.max <= 50 * ms }
}

test "voice" {
  path    = path.uplinks
  profile = profile.udp.voice

  assert "loss" { condition = loss.ratio <= var.max_loss * percent }
  assert "delay" {
    condition = delay.max <= 50 * ms
    message   = "voice took up to ${format("%.3f", delay.max / ms)} ms"
  }
}

test "bulk" {
  path    = path.uplinks
  profile = profile.tcp.bulk

  assert "speed" { condition = throughput.mean >= 50 * Mbps }
}
