nmae   = "syd"                     #! Unknown argument | Did you mean "name"?
tags   = ["a"]                     #! Wrong type | must be an object
listen = "8620"                    #! Invalid value | [ADDRESS]:PORT
address = "192.0.2.7/24"           #! Invalid value | without a port
data   = var.data                  #! Unknown reference | has no references
join   = "a"
join_file = "b"                    #! Conflicting arguments | Leave one of them out
drain  = "10Mbps"                  #! Wrong unit | "Mbps"

interface "a" { adress = "10.0.0.1" } #! Unknown argument | Did you mean "address"?
interface "b" { address = "ten" }  #! Invalid value | not an IP address
interface "b" { }                  #! Duplicate declaration | already an interface "b"
interface { }                      #! Wrong number of labels | interface "NAME" { … }

limits {
  rate          = "10MB/s"         #! Wrong unit | netp does not guess
  duration      = "1 fortnight"    #! Wrong unit | not a unit of time
  sessions      = 1.5              #! Value out of range | whole number
  bytes_per_day = "10Gb"           #! Wrong unit | counts bits
  peers         = ["ten", "10.0.0.0/8"] #! Invalid value | "ten" is no network
  endpoints     = ["http://x"]     #! Invalid value | no host
  kinds         = ["utp"]          #! Invalid value | Did you mean "udp"?
}
limits { }                         #! Duplicate block | in line 15
intreface "c" { }                  #! Unknown block | Did you mean "interface"?
