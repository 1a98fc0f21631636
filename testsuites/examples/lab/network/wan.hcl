# A network for the suite beside it: three sites, two carriers, and what is wrong
# with them. A packet from one site to another passes the first one's line up and
# the second one's line down, and what they do to it adds up.

name = "wan"

carrier "telco-a" {
  delay = "8ms"
  rate  = "100Mbps"
}

# The cheap one: slower, and not steady.
carrier "telco-b" {
  delay        = "14ms"
  jitter       = "2ms"
  distribution = "exponential"
  keep_order   = true
  loss         = 0.05 * percent
  rate         = "50Mbps"
  queue        = "600KB" # 96 ms: a buffer that is too deep
}

site "syd" {
  dns { names = { "portal.example" = "10.1.3.10" } }
}

# With fail = "servfail" (or "timeout", ...) the test of the portal becomes an error
# that says so.
site "mel" {
  dns { names = { "portal.example" = "10.1.3.10" } }
}

# Far away, and with a bad last mile on telco-b: losses come in bursts. Its name
# server is slow, which delays what begins with a name, and no packet after it.
site "per" {
  dns {
    names = { "portal.example" = "10.1.3.10" }
    delay = "1500ms"
  }

  line "telco-a" { delay = "20ms" }

  line "telco-b" {
    delay = "26ms"

    down {
      burst {
        enter = 0.02
        leave = 0.25
      }
    }
  }
}
