suite "backbone" {
  description = "Carrier SLA of the WAN backbone"
  tags        = { owner = "neteng" }
  confidence  = 0.95
  family      = "assertion"
}

variable "max_loss" {
  type        = number
  default     = 0.1
  description = "percent"
}

locals { sites = toset(["mel", "per"]) }

agent "syd" {
  tags = { site = "syd", lat = -33.87, lon = 151.21 }
  interface "telco-a" { address = "10.1.0.10" }
  interface "telco-b" { address = "10.2.0.10" }
}
agent "site" {
  for_each = local.sites
  tags     = { site = each.key }
}
agents "edge" { where = tags.role == "edge" && tags.site != "lab" }

link "telco-a-core" {
  capacity = "500Mbps"
}

path "core" {
  mesh  = [agent.syd, agent.site, agents.edge]
  via   = "telco-a"
  links = [link.telco-a-core]
  tags  = { carrier = "telco-a" }
}
path "spokes" {
  from = agents.edge
  to   = agent.syd
}
path "portal" {
  from = agents.edge
  to   = "https://portal.example/health"
}

profile "udp" "voice" {
  rate     = "50pps"
  size     = 200
  dscp     = "ef"
  duration = "60s"
}
profile "tcp" "bulk" {
  duration = "10s"
  streams  = 4
}
profile "http" "portal" {
}

test "voice" {
  path    = path.core
  profile = profile.udp.voice
  every   = "5m"
  tags    = { class = "realtime" }

  assert "loss" { condition = loss.ratio <= var.max_loss * percent }
  assert "latency" {
    condition = delay.p99 <= 60 * ms && delay_variation.p99 <= 20 * ms
    severity  = "warning"
    message   = "voice needs 60 ms, saw ${format("%.1f", delay.p99 / ms)} ms"
  }
}

test "bulk" {
  path    = [path.spokes, path.core["syd->site-mel"]]
  profile = profile.tcp.bulk
  cron    = "0 2 * * *"

  assert "rate" { condition = throughput.mean >= 100 * Mbps }
}

test "portal" {
  path    = path.portal
  profile = profile.http.portal

  assert "up" { condition = ok.ratio >= 99 * percent }
}

sink "influxdb" "noc" {
  url   = "http://influx.example:8086"
  token = env("INFLUX_TOKEN")
}
module "branch" {
  source   = "./modules/branch"
  for_each = local.sites
  site     = each.key
}
netp {
  required_version = ">= 0.1"
  controller       = "https://netp.example:8640"
  plugin "influxdb" {
    source  = "example.com/acme/influxdb"
    version = "~> 1.2"
  }
}
