# A suite that runs as it is: netp apply
# Reference: docs/language.md of the netp repository.

suite "NAME" {
  description = "What must hold on our network"
}

variable "max_loss" {
  type        = number
  default     = 1
  description = "Tolerated loss in percent"
}

# Without a controller both agents run inside netp, on loopback.
agent "here" {}
agent "there" {}

path "line" {
  from            = agent.here
  to              = agent.there
  both_directions = true
}

profile "rtt" "probe" {
  interval = "20ms"
  duration = "2s"
}

profile "udp" "voice" {
  rate     = "50pps"
  size     = 172
  dscp     = "ef"
  duration = "5s"
}

test "reach" {
  path    = path.line
  profile = profile.rtt.probe

  assert "latency" { condition = rtt.p50 <= 50 * ms }
}

test "voice" {
  path    = path.line
  profile = profile.udp.voice

  assert "loss" { condition = loss.ratio <= var.max_loss * 2 * percent }
}
