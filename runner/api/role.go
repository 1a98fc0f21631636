package api

import (
	"net/http"

	"github.com/netpupper/netp/runner/enrol"
)

// Role is what somebody may do; see enrol.Role.
type Role = enrol.Role

// The roles, least first.
const (
	Viewer   = enrol.Viewer
	Operator = enrol.Operator
	Admin    = enrol.Admin
)

// authorise says whether a request may do what needs a role.
func (s *Server) authorise(r *http.Request, least Role) error {
	if status, why := enrol.Deny(r, least, s.cfg.Authorise); status != 0 {
		return &Problem{Status: status, Code: why.Code, Detail: why.Detail}
	}
	return nil
}
