data      = "/var/lib/netp-controller"
http      = ":8640"
bus       = "0.0.0.0:4222"
advertise = ["netp.example.net"]
store     = env("DATABASE")
retention = "90d"

repository "backbone" {
  url             = "git@git.example.net:net/suites.git"
  branch          = "main"
  path            = "suites"
  interval        = "30s"
  allowed_signers = "/etc/netp/signers"
  ssh_key         = "keys/id"
  known_hosts     = "keys/known_hosts"
  env             = ["TOKEN"]
}
repository "lab" {
  url           = "https://git.example.net/lab.git"
  token_file    = "/etc/netp/lab.token"
  allow_rewrite = true
}
directory "local" {
  path = "suites"
  env  = { SITE = "syd", TOKEN = env("TOKEN") }
}
webhook { secret_file = "webhook.secret" }
sink "influxdb" "noc" {
  url     = "http://influx.example:8086"
  token   = env("TOKEN")
  headers = { "X-Key" = env("TOKEN"), Accept = "text/plain" }
}
plugin "influxdb" {
  source  = "example.com/acme/influxdb"
  version = "~> 1.2"
}
