package api

import (
	"net/http"
	"strings"
)

// Role is what somebody may do; each may also do what those before it may.
type Role string

// The roles. Viewer reads, Operator also applies, cancels and destroys, Admin also
// decides about agents and tokens.
const (
	Viewer   Role = "viewer"
	Operator Role = "operator"
	Admin    Role = "admin"
)

func (r Role) rank() int {
	switch r {
	case Viewer:
		return 1
	case Operator:
		return 2
	case Admin:
		return 3
	}
	return 0
}

// may reports whether the role suffices where least is needed. An unknown role
// never does.
func (r Role) may(least Role) bool { return r.rank() >= least.rank() && r.rank() > 0 }

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
	if !role.may(least) {
		return problem(http.StatusForbidden, "forbidden", "This needs the role %s; the token has the role %s.", least, role)
	}
	return nil
}
