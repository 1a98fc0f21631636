package enrol

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestDeny: the scheme is not case-sensitive (RFC 9110 §11.1), any other than Bearer shows no token.
func TestDeny(t *testing.T) {
	authorise := func(token string) (Role, bool) { return Operator, token == "good" }
	for _, c := range []struct {
		shown string
		least Role
		want  int
	}{
		{"Bearer good", Viewer, 0},
		{"bearer good", Operator, 0},
		{"Bearer good", Admin, http.StatusForbidden},
		{"Bearer bad", Viewer, http.StatusUnauthorized},
		{"Bearer", Viewer, http.StatusUnauthorized},
		{"", Viewer, http.StatusUnauthorized},
		{"Basic good", Viewer, http.StatusUnauthorized},
		{"good", Viewer, http.StatusUnauthorized},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", c.shown)
		if got, why := Deny(r, c.least, authorise); got != c.want || (got != 0) != (why.Detail != "" && why.Code != "") {
			t.Errorf("%q for %s: %d %+v; want %d", c.shown, c.least, got, why, c.want)
		}
	}
}
