# Reachability of endpoints that run no agent: a host by ICMP echo, a service by
# TCP connect. The targets are variables; the defaults answer on every machine
# that runs an SSH server.

suite "reach" {
  description = "Do the services answer, and how fast?"
}

variable "host" {
  type    = string
  default = "127.0.0.1"
}

variable "service" {
  type        = string
  default     = "127.0.0.1:22"
  description = "host:port that accepts TCP connections"
}

agent "here" {}

path "host" {
  from = agent.here
  to   = var.host
}

path "service" {
  from = agent.here
  to   = var.service
}

profile "rtt" "ping" {
  mode     = "icmp"
  interval = "50ms"
  count    = 40
}

profile "rtt" "connect" {
  mode     = "tcp_connect"
  interval = "50ms"
  count    = 40
}

test "ping" {
  path    = path.host
  profile = profile.rtt.ping

  assert "alive" { condition = loss.ratio < 20 * percent && rtt.p50 < 100 * ms }
}

test "connect" {
  path    = path.service
  profile = profile.rtt.connect

  assert "alive" { condition = loss.ratio < 20 * percent }
}
