suite "s" {}
variable "missing" {} #! No value for variable | NETP_VAR_missing
variable "typed" {
  type    = number
  default = "abc" #! Invalid value for variable | has the type number
}
variable "bad" { type = nmber } #! Invalid type constraint
variable "checked" {
  default = 5 #! Invalid value for variable | at most 3
  validation {
    condition     = var.checked <= 3
    error_message = "It must be at most 3, not ${var.checked}."
  }
}
variable "object" {
  type    = object({ a = number, b = optional(string, "x") })
  default = { a = "one" } #! Invalid value for variable
}
module "m" { source = "https://x.example/y" } #! Invalid module | begins with ./
module "n" { source = "./${var.checked}" } #! Invalid module | Write it out
module "o" { source = "../up" } #! Invalid module | leads out
module "p" { source = "./none" } #! Invalid module | no directory
locals { x = [var.missing, var.typed, var.bad, var.object] }
locals { loop = { for k in toset(var.bad) : k => k } } # what is not known is not gone through
