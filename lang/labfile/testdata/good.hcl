name = "wan"

carrier "telco-a" {
  delay = "10ms"
  loss  = 0.1 * percent
}

carrier "telco-b" {
  delay      = "20ms"
  rate       = "100Mbps"
  keep_order = true
}

site "syd" {
  block {
    protocol = "udp"
    port     = 8620
  }

  dns {
    fail  = "servfail"
    delay = "2s"
    names = { "Portal.example" = "10.1.1.10, fd10:1:1::10" }
  }
}

site "mel" {
  nat = true

  line "telco-b" {
    address      = "10.2.7.10"
    jitter       = "4ms"
    distribution = "heavy"
    queue        = "64KB"

    burst {
      enter = 0.01
      leave = 0.2
    }

    up { delay = "1ms" }
    down { cut = true }
  }
}
