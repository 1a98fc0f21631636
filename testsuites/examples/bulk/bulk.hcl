# Bulk transfers between two data centres: capacity one way, both ways at once,
# and a paced transfer that shares the line with others. Sessions that seek the
# capacity never overlap: the plan shows in which order they run.

suite "bulk" {
  description = "Backup windows between two data centres"
}

locals {
  transfers = {
    forward = { direction = "forward", streams = 1 }
    reverse = { direction = "reverse", streams = 4 }
  }
}

agent "dc1" {}
agent "dc2" {}

link "dark-fibre" {
  capacity = "10Gbps"
}

path "backup" {
  from  = agent.dc1
  to    = agent.dc2
  links = [link.dark-fibre]
}

profile "tcp" "bulk" {
  for_each  = local.transfers
  duration  = "2s"
  omit      = "500ms"
  direction = each.value.direction
  streams   = each.value.streams
}

profile "tcp" "duplex" {
  duration  = "2s"
  direction = "both"
}

profile "tcp" "paced" {
  duration = "2s"
  rate     = "50Mbps"
}

test "bulk" {
  for_each = local.transfers
  path     = path.backup
  profile  = profile.tcp.bulk[each.key]

  assert "speed" { condition = throughput.mean >= 100 * Mbps }
}

test "duplex" {
  path    = path.backup
  profile = profile.tcp.duplex

  assert "speed" {
    condition = forward.throughput.mean >= 50 * Mbps && reverse.throughput.mean >= 50 * Mbps
  }
}

test "paced" {
  path    = path.backup
  profile = profile.tcp.paced

  assert "rate" {
    condition = throughput.mean >= 40 * Mbps && throughput.mean <= 60 * Mbps
  }
}
