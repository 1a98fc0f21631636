package enrol

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/wire"
)

func (d *desk) grant(name string, role Role, life time.Duration) string {
	d.t.Helper()
	t, made, err := d.GrantAccess(AccessRequest{Name: name, Role: role, Life: life})
	if err != nil {
		d.t.Fatal(err)
	}
	if made.Name != name || made.Role != role || t.Pin != d.Pin() {
		d.t.Errorf("made %+v with pin %x", made, t.Pin)
	}
	return t.String()
}

func TestRoleTokens(t *testing.T) {
	d := open(t, t.TempDir())
	ci := d.grant("ci", Operator, 0)
	eye := d.grant("wall", Viewer, time.Hour)
	for word, want := range map[string]Role{ci: Operator, eye: Viewer, ci[:len(ci)-1]: "", ci + "a": "", "": "", "x": "",
		wire.AccessToken{Pin: d.Pin(), Secret: make([]byte, wire.SecretSize)}.String(): ""} {
		if got := roleOf(d, word); got != want {
			t.Errorf("a token of length %d has the role %q, want %q", len(word), got, want)
		}
	}
	text, err := os.ReadFile(d.path(stateFile))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := wire.ParseAccessToken(ci)
	if err != nil || strings.Contains(string(text), ci[len(ci)-20:]) || !strings.Contains(string(text), tokenKey(parsed.Secret)) {
		t.Errorf("the state holds the secret, or not its hash: %v", err)
	}
	for _, r := range []AccessRequest{{Name: "ci", Role: Viewer}, {Name: "", Role: Viewer}, {Name: "a b", Role: Viewer}, {Name: "x", Role: "root"},
		{Name: strings.Repeat("x", maxAccessName+1), Role: Viewer},
		{Name: "x", Role: Viewer, Life: -1}, {Name: "x", Role: Viewer, Life: 3 * MaxAccessLife}} {
		if _, _, err := d.GrantAccess(r); reasonOf(err) == "" {
			t.Errorf("%+v: %v, want a refusal", r, err)
		}
	}
	again := open(t, d.dir)
	if roleOf(again, ci) != Operator {
		t.Error("the token did not survive a restart")
	}
	again.now = again.now.Add(2 * time.Hour)
	if roleOf(again, eye) != "" || roleOf(again, ci) != Operator {
		t.Error("an expired token is good, or another is not")
	}
	if list := again.ListAccess(); len(list) != 2 || list[0].Name != "ci" || list[0].Expired || !list[1].Expired {
		t.Errorf("listed %+v", list)
	}
	again.grant("wall", Viewer, time.Hour) // an expired name is free
	if err := again.RevokeAccess("ci"); err != nil {
		t.Fatal(err)
	}
	expectRefusal(t, "revoke again", again.RevokeAccess("ci"), unknown, "no role token")
	if roleOf(again, ci) != "" || roleOf(open(t, d.dir), ci) != "" {
		t.Error("a revoked token is good")
	}
}

// TestRolesAtTheRoutes asks each route with each role.
func TestRolesAtTheRoutes(t *testing.T) {
	d := open(t, t.TempDir())
	d.enrol("syd")
	mux := http.NewServeMux()
	a := API{Authority: d.Authority, Expel: func(netp.AgentID) {}, Present: func() []Presence { return nil }}
	a.Register(mux)
	call := func(token, method, path, body string) int {
		r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		w.Code = 0
		mux.ServeHTTP(&deadlines{w}, r)
		return w.Code
	}
	admin, err := os.ReadFile(d.AdminTokenFile())
	if err != nil {
		t.Fatal(err)
	}
	tokens := map[Role]string{Viewer: d.grant("v", Viewer, 0), Operator: d.grant("o", Operator, 0), Admin: d.grant("a", Admin, 0), "": "nonsense"}
	roles := []Role{"", Viewer, Operator, Admin}
	for _, route := range a.Routes() {
		for _, role := range roles {
			path := strings.ReplaceAll(route.Path, "{name}", "nobody")
			status := call(tokens[role], route.Method, path, `{"name":"n","role":"viewer"}`)
			allowed := status != http.StatusUnauthorized && status != http.StatusForbidden
			if want := slices.Index(roles, role) >= slices.Index(roles, route.Least); allowed != want || role == "" && status != http.StatusUnauthorized {
				t.Errorf("%s %s as %q: %d", route.Method, path, role, status)
			}
		}
	}
	if status := call(strings.TrimSpace(string(admin)), "POST", "/api/v1/access", `{"name":"new","role":"operator"}`); status != http.StatusOK {
		t.Errorf("the admin token makes a role token: %d", status)
	}
	if status := call(tokens[Operator], "POST", "/api/v1/agents/syd/drain", ""); status != http.StatusOK || !d.Drained("syd") {
		t.Errorf("drain: %d", status)
	}
}

// deadlines is a response writer that takes deadlines, as a server's does.
type deadlines struct{ *httptest.ResponseRecorder }

func (*deadlines) SetReadDeadline(time.Time) error { return nil }

func TestDrainLastsUntilResume(t *testing.T) {
	d := open(t, t.TempDir())
	d.enrol("syd")
	expectRefusal(t, "drain nobody", d.Drain("mel"), unknown, "netp agents lists those that do")
	expectRefusal(t, "resume nobody", d.Resume("mel"), unknown, "No agent")
	for range 2 {
		if err := d.Drain("syd"); err != nil || !d.Drained("syd") || d.Drained("mel") {
			t.Fatalf("drain: %v", err)
		}
	}
	d = open(t, d.dir)
	if !d.Drained("syd") {
		t.Error("drained is forgotten by a restart")
	}
	api := API{Authority: d.Authority, Present: func() []Presence { return []Presence{{Agent: netp.Agent{Name: "syd"}}} }}
	if list := api.agents(); len(list) != 1 || list[0].State != "drained" {
		text, _ := json.Marshal(list)
		t.Errorf("listed as %s", text)
	}
	if err := d.Resume("syd"); err != nil || d.Drained("syd") {
		t.Errorf("resume: %v", err)
	}
	if err := d.Drain("syd"); err != nil {
		t.Fatal(err)
	}
	if err := d.Revoke("syd"); err != nil || d.Drained("syd") {
		t.Errorf("who gets the name of a revoked agent is drained: %v", err)
	}
}
