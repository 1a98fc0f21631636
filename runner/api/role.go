package api

import (
	"net/http"
	"strings"

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
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return problem(http.StatusUnauthorized, "unauthorized", "The request carries no token. Set NETP_TOKEN.")
	}
	role, ok := s.cfg.Authorise(token)
	if !ok {
		return problem(http.StatusUnauthorized, "unauthorized", "The token is not one of this controller. Set NETP_TOKEN to one that is.")
	}
	if !role.May(least) {
		return problem(http.StatusForbidden, "forbidden", "This needs the role %s; the token has the role %s.", least, role)
	}
	return nil
}
