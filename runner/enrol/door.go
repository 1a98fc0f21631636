package enrol

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/netpupper/netp/agent/wire"
)

// Deny says why a request may not do what needs a role, by the bearer token that it shows (RFC 6750 §2.1): the status, and what to
// answer. Status 0 means that it may. Authorise gives the role of a token, false for one that nobody has.
func Deny(r *http.Request, least Role, authorise func(token string) (Role, bool)) (status int, why wire.Refusal) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	role, known := authorise(token)
	switch {
	case !known || !strings.EqualFold(scheme, "Bearer"):
		return http.StatusUnauthorized, wire.Refusal{Code: "unauthorized", Detail: "The token is missing, wrong or expired. Set NETP_TOKEN to one of netp tokens create, or to the content of admin.token in the controller's data directory."}
	case !role.May(least):
		return http.StatusForbidden, wire.Refusal{Code: "forbidden", Detail: fmt.Sprintf("This needs the role %s; the token has the role %s.", least, role)}
	}
	return 0, wire.Refusal{}
}

// Challenge tells an asker who gets 401 how to say who it is.
func Challenge(h http.Header) { h.Set("WWW-Authenticate", `Bearer realm="netp"`) }

// RefuseOthers has decline answer what the paths of a mux do not take with 405 and the methods that they do take (RFC 9110 §15.5.6).
func RefuseOthers(mux *http.ServeMux, taken map[string][]string, decline func(w http.ResponseWriter, r *http.Request, status int, why wire.Refusal)) {
	for path, methods := range taken {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", strings.Join(methods, ", "))
			detail := fmt.Sprintf("%s takes %s, not %s.", r.URL.Path, strings.Join(methods, " and "), r.Method)
			decline(w, r, http.StatusMethodNotAllowed, wire.Refusal{Code: "method_not_allowed", Detail: detail})
		})
	}
}
