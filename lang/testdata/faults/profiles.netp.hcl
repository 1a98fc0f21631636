suite "s" {}
profile "upd" "a" {} #! Unknown kind | Did you mean "udp"?
profile "udp" "b" { #! Missing argument | "rate"
  durration = "1s" #! Unknown argument | Did you mean "duration"?
  size = "10Mb" #! Wrong unit | one byte is eight bits
  dscp = "eff" #! Invalid value | Did you mean "ef"?
  direction = "forwards" #! Invalid value | Did you mean "forward"?
  streams = 65 #! Value out of range | from 1 to 64
  count = 1.5 #! Invalid value | whole number
  duration = "60" #! Wrong unit | no unit of time
}
profile "udp" "c" {
  rate = "10MB" #! Wrong unit | counts bytes
  mix = { "big" = 1 } #! Invalid value
  duration = true #! Wrong type
}
profile "udp" "d" {
  rate = "10Mbsp" #! Wrong unit | Did you mean "Mbps"?
  dscp = 64 #! Value out of range
  duration = "1 fortnight" #! Wrong unit | The units are
  size = -1 #! Value out of range | negative
}
profile "udp" "e" {
  rate = "1Mbps"
  mix = "imix" #! Invalid parameters | Remove one of them
  size = 100
}
profile "tcp" "f" {
  discard = "yes" #! Wrong type | true or false
  duration = "P1M" #! Wrong unit | no fixed length
  rate = sensitive(5) #! Sensitive value not allowed
}
