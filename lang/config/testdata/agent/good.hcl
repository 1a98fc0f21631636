# Everything an agent's file can say.
name      = "syd"
tags      = { site = "syd", lat = -33.87, edge = true }
data      = "/var/lib/netp-agent"
listen    = "[2001:db8::1]:8620"
address   = "192.0.2.7"
nat       = true
join_file = "token"
drain     = "1m"

interface "telco-b" { device = "wan1" }
interface "telco-a" {
  address  = "10.1.0.10"
  netns    = "blue"
  capacity = 100 * Mbps
}

limits {
  rate          = "10Mbps"
  duration      = "5m"
  sessions      = 8
  bytes_per_day = "50GB"
  peers         = ["10.0.0.0/8", "2001:db8::1"]
  endpoints     = ["*.example.net", env("PORTAL")]
  kinds         = ["rtt", "udp"]
}
