# A suite rehearsed in a network that is sick in a known way, on one Linux host.
# network/wan.hcl declares the network; see docs/lab.md.
#
#   sudo netp lab exec network/wan.hcl -- netp apply
#
# or, to keep the network and try things in it:
#
#   sudo netp lab up network/wan.hcl
#   sudo netp apply
#   sudo netp lab down wan
#
# telco-a passes. telco-b fails on the way to per, where it loses packets in
# bursts: exit code 99.

suite "rehearsal" {
  description = "The assertions of a WAN, in a network whose faults are known"
}

locals {
  sites = ["syd", "mel", "per"]
}

agent "site" {
  for_each = { for i, name in local.sites : name => i + 1 }
  name     = each.key
  netns    = "netp-lab-wan-${each.key}"

  interface "telco-a" {
    address  = "10.1.${each.value}.10"
    capacity = "100Mbps"
  }

  interface "telco-b" {
    address  = "10.2.${each.value}.10"
    capacity = "50Mbps"
  }
}

path "carrier" {
  for_each = toset(["telco-a", "telco-b"])
  mesh     = [agent.site]
  via      = each.key
  tags     = { carrier = each.key }
}

profile "udp" "voice" {
  rate     = "200pps"
  size     = 200
  dscp     = "ef"
  duration = "10s"
}

test "voice" {
  path    = [path.carrier["telco-a"], path.carrier["telco-b"]]
  profile = profile.udp.voice

  assert "loss" { condition = loss.ratio <= 1 * percent }
  assert "latency" { condition = delay.p90 <= 80 * ms }
}

path "portal" {
  from = [agent.site]
  to   = "portal.example"
}

profile "rtt" "ping" {
  mode     = "icmp"
  interval = "50ms"
  duration = "5s"
}

test "portal" {
  path    = path.portal
  profile = profile.rtt.ping

  assert "latency" { condition = rtt.p90 <= 100 * ms }
}
