# A full mesh of three sites, each agent in a network namespace of its own. Root
# on Linux: sites.sh makes the namespaces and the slow line to per.
#
#   sudo ./sites.sh up
#   sudo netp apply
#   sudo ./sites.sh down

suite "mesh" {
  description = "Three sites in network namespaces"
}

locals {
  sites = {
    syd = "10.99.0.1"
    mel = "10.99.0.2"
    per = "10.99.0.3"
  }
}

agent "site" {
  for_each = local.sites
  name     = each.key
  netns    = "netp-${each.key}"
  tags     = { site = each.key }

  interface "wan" {
    address  = each.value
    capacity = "100Mbps"
  }
}

path "all" {
  mesh = [agent.site]
  via  = "wan"
}

profile "rtt" "probe" {
  interval = "5ms"
  duration = "3s"
}

profile "udp" "voice" {
  rate     = "100pps"
  size     = 200
  dscp     = "ef"
  duration = "3s"
}

profile "tcp" "bulk" {
  duration   = "4s"
  omit       = "1s"
  congestion = "cubic" # bbr takes longer to settle on a short, slow line
}

test "reach" {
  path    = path.all
  profile = profile.rtt.probe

  assert "latency" { condition = rtt.p50 <= 100 * ms }
  assert "loss" { condition = loss.ratio <= 5 * percent }
}

test "voice" {
  path    = path.all
  profile = profile.udp.voice

  assert "loss" { condition = loss.ratio <= 5 * percent }
}

test "bulk" {
  path    = path.all
  profile = profile.tcp.bulk

  assert "speed" { condition = throughput.mean >= 8 * Mbps }
}
