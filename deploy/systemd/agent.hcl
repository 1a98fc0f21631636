# /etc/netp/agent.hcl: what this agent is and what it grants. Restart the agent after a change.
# The key and the results are in the unit's state directory (NETP_AGENT_DATA).

name = "syd-1"
tags = { site = "syd", role = "edge" }

# The first start needs a token: NETP_AGENT_JOIN in /etc/netp/agent.env, which may be removed afterwards.

# interface "telco-a" { address = "10.1.0.10" }
# interface "telco-b" { device = "wan1" }

limits {
  rate          = "10Mbps"
  duration      = "5m"
  sessions      = 20
  bytes_per_day = "50GB"
  # peers     = ["10.0.0.0/8"]          # other agents; left out: anywhere
  # endpoints = ["portal.example.net"]  # what is no agent; left out: none
  # kinds     = ["rtt", "udp"]          # left out: all
}
