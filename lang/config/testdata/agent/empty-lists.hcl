name = "-syd"     #! Invalid name | neither a dot nor a hyphen
data = ""         #! Invalid value | data is empty
limits {
  peers = []      #! Invalid value | Leave it out to allow agents anywhere
  kinds = []      #! Invalid value | of no use
  endpoints = env("NOWHERE") #! Invalid function argument | no variable NOWHERE
}
limits = 5        #! Unknown argument | is a block here
