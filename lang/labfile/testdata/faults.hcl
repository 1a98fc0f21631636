name = "two words" #! Invalid value | no name for a lab
ip   = 5           #! Invalid value | no version of IP

carrier "telco-a" {
  dealy = "10ms" #! Unknown argument | Did you mean "delay"?
  loss  = 5      #! Value out of range | 0.5 * percent
}

site "syd" {
  line "telco-b" {} #! Unknown reference | no carrier "telco-b"
}

site "mel" {
  line "telco-a" {
    address      = "10.1.1.255" #! Invalid value | from 2 to 253
    address6     = "10.1.1.2"   #! Invalid value | not an IPv6 address
    distribution = "flat"       #! Invalid value | none of those
    delay        = "10"         #! Wrong unit | no unit of time
    rate         = "10MBps"     #! Wrong unit | netp does not guess
    burst { enter = 1 }         #! Missing argument | leave
  }

  block {
    protocol = "sctp" #! Invalid value | no protocol
    port     = 99999  #! Invalid value | at most 65535
  }
}

site "mel" {} #! Duplicate declaration | already a site "mel"

site "adl" {
  dns {
    fail  = "sulks" #! Invalid value | none of those
    delay = "2h"    #! Invalid value | a minute at most
    names = { "www.example" = "nowhere" } #! Invalid value | is no address
  }
}

site "per" {
  block { port = 7 } #! Invalid value | Only UDP and TCP have ports
  line "telco-a" { #! Invalid value | LossPhase
    loss_phase = 3
  }
}
