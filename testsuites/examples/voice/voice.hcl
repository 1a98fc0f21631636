# The voice part of a carrier SLA: two sites, packets of a G.711 call, and the
# limits a contract would name. On loopback it passes; point the agents at real
# sites, or at network namespaces, to make it mean something.

suite "voice-sla" {
  description = "Voice quality between two sites"
  tags        = { owner = "neteng", contract = "voice" }
}

variable "duration" {
  type        = string
  default     = "5s"
  description = "Length of a session; 75 s are needed to show loss below 0.1 %"
}

variable "limits" {
  type = object({
    loss   = number
    delay  = number
    jitter = number
  })
  default     = { loss = 2, delay = 60, jitter = 30 }
  description = "Loss in percent, one-way delay and jitter in milliseconds"

  validation {
    condition     = var.limits.loss >= 0 && var.limits.loss <= 100
    error_message = "The loss limit is a percentage from 0 to 100."
  }
}

agent "syd" {
  tags = { site = "syd", lat = -33.87, lon = 151.21 }
}

agent "per" {
  tags = { site = "per", lat = -31.95, lon = 115.86 }
}

path "calls" {
  from            = agent.syd
  to              = agent.per
  both_directions = true
  tags            = { class = "realtime" }
}

profile "udp" "g711" {
  rate     = "50pps"
  size     = 172 # 20 ms of G.711 and the RTP header
  dscp     = "ef"
  duration = var.duration
  playout  = "60ms"
}

test "voice" {
  path    = path.calls
  profile = profile.udp.g711
  tags    = { class = "realtime" }

  assert "loss" { condition = loss.ratio <= var.limits.loss * percent }

  assert "delay" {
    condition = delay.p50 <= var.limits.delay * ms
    message   = "the contract says ${var.limits.delay} ms, saw ${format("%.1f", delay.p50 / ms)} ms"
  }

  assert "jitter" {
    condition = jitter <= var.limits.jitter * ms
    severity  = "warning"
  }
}
