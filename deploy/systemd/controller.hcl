# /etc/netp/controller.hcl: what the controller serves and follows. Restart it after a change.
# Keys, state and history are in the unit's state directory (NETP_CONTROLLER_DATA).

http = ":8640"
bus  = ":4222"
# advertise = ["netp.example.net"]
# store     = env("NETP_STORE")         # postgres://…; left out: a file in the state directory
# retention = "90d"

# repository "backbone" {
#   url             = "git@git.example.net:net/suites.git"
#   branch          = "main"
#   allowed_signers = "/etc/netp/signers"
#   ssh_key         = "${env("CREDENTIALS_DIRECTORY")}/deploy.key"   # LoadCredential=deploy.key:/etc/netp/deploy.key
#   known_hosts     = "/etc/netp/known_hosts"
# }
