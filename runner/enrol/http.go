package enrol

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/wire"
)

// API is the authority over HTTP. All fields are required.
type API struct {
	Authority *Authority
	// Present lists the agents that are there, and as they were last those that were; what else belongs to the controller is
	// listed beside them.
	Present func() []Presence
	// Expel closes the connections of a revoked agent, and forgets that it was there, at once.
	Expel func(netp.AgentID)
}

// Presence is an agent that is there, or was.
type Presence struct {
	Agent    netp.Agent
	Away     bool
	Running  int
	Draining bool
	Health   []netp.Check
	Seen     time.Time
}

// Listed is one agent of GET /api/v1/agents.
type Listed struct {
	netp.Agent
	// State is "ready", "drained" (no new sessions until it is resumed), "draining"
	// (it is stopping) or "away". Drained tells the former of one that is away, too.
	State   string `json:"state"`
	Running int    `json:"running"` // sessions
	// Health is what the agent finds of its own host, whatever the session.
	Health   []netp.Check `json:"health,omitempty"`
	LastSeen time.Time    `json:"last_seen,omitzero"`
	Joined   time.Time    `json:"joined,omitzero"`
	// CertificateEnds is when the agent is out unless it renews before.
	CertificateEnds time.Time `json:"certificate_ends,omitzero"`
}

// TokenAnswer is the answer to POST /api/v1/tokens.
type TokenAnswer struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
}

// Register puts the API's paths on a mux.
func (a API) Register(mux *http.ServeMux) {
	mux.HandleFunc("POST "+wire.EnrolPath, a.enrol)
	mux.HandleFunc("POST "+wire.RenewPath, a.renew)
	methods := map[string][]string{wire.EnrolPath: {http.MethodPost}, wire.RenewPath: {http.MethodPost}}
	for _, r := range a.Routes() {
		mux.Handle(r.Method+" "+r.Path, a.Authority.require(r.Least, r.serve))
		methods[r.Path] = append(methods[r.Path], r.Method)
	}
	RefuseOthers(mux, methods, func(w http.ResponseWriter, _ *http.Request, status int, why wire.Refusal) { answer(w, status, why) })
}

// Route is what needs a token, and the least role that may.
type Route struct {
	Method, Path string
	Least        Role
	serve        http.HandlerFunc
}

// Routes lists what needs a token.
func (a API) Routes() []Route {
	return []Route{
		{"GET", "/api/v1/agents", Viewer, a.list},
		{"POST", "/api/v1/agents/{name}/drain", Operator, a.named(a.Authority.Drain)},
		{"POST", "/api/v1/agents/{name}/resume", Operator, a.named(a.Authority.Resume)},
		{"POST", "/api/v1/agents/{name}/revoke", Admin, a.named(a.revoke)},
		{"POST", "/api/v1/tokens", Admin, a.token},
		{"GET", "/api/v1/access", Admin, a.listAccess},
		{"POST", "/api/v1/access", Admin, a.grantAccess},
		{"DELETE", "/api/v1/access/{name}", Admin, a.revokeAccess},
	}
}

// require lets requests through whose token has at least a role.
func (a *Authority) require(least Role, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status, why := Deny(r, least, a.Authorise); status != 0 {
			answer(w, status, why)
			return
		}
		next(w, r)
	})
}

// named answers requests about one agent.
func (a API) named(do func(netp.AgentID) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a.reply(w, struct{}{}, do(netp.AgentID(r.PathValue("name"))))
	}
}

func (a API) enrol(w http.ResponseWriter, r *http.Request) {
	var e wire.Enrolment
	if read(w, r, &e) {
		m, err := a.Authority.Enrol(e)
		a.reply(w, m, err)
	}
}

func (a API) renew(w http.ResponseWriter, r *http.Request) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		a.reply(w, nil, refuse(forbidden, "A renewal needs the agent's certificate."))
		return
	}
	m, err := a.Authority.Renew(r.TLS.PeerCertificates[0])
	a.reply(w, m, err)
}

func (a API) token(w http.ResponseWriter, r *http.Request) {
	var ask TokenRequest
	if !read(w, r, &ask) {
		return
	}
	if ask.Life == 0 {
		ask.Life = TokenLife
	}
	t, err := a.Authority.Token(ask)
	a.reply(w, TokenAnswer{Token: t.String(), Expires: a.Authority.cfg.Now().Add(ask.Life).UTC()}, err)
}

func (a API) revoke(id netp.AgentID) error {
	err := a.Authority.Revoke(id)
	a.Expel(id) // also when only the disk failed
	return err
}

// AccessList is the answer to GET /api/v1/access.
type AccessList struct {
	FormatVersion string   `json:"format_version"`
	Tokens        []Access `json:"tokens"`
}

// AccessAnswer is the answer to POST /api/v1/access, the only place of the token.
type AccessAnswer struct {
	Token string `json:"token"`
	Access
}

func (a API) listAccess(w http.ResponseWriter, _ *http.Request) {
	a.reply(w, AccessList{netp.FormatVersion, a.Authority.ListAccess()}, nil)
}

func (a API) grantAccess(w http.ResponseWriter, r *http.Request) {
	var ask AccessRequest
	if !read(w, r, &ask) {
		return
	}
	t, made, err := a.Authority.GrantAccess(ask)
	a.reply(w, AccessAnswer{t.String(), made}, err)
}

func (a API) revokeAccess(w http.ResponseWriter, r *http.Request) {
	a.reply(w, struct{}{}, a.Authority.RevokeAccess(r.PathValue("name")))
}

func (a API) list(w http.ResponseWriter, _ *http.Request) {
	a.reply(w, map[string]any{"format_version": netp.FormatVersion, "agents": a.agents()}, nil)
}

// agents joins who belongs here with who is there, by name. Somebody who is there
// still, but revoked, does not belong.
func (a API) agents() []Listed {
	there := make(map[netp.AgentID]Presence)
	for _, p := range a.Present() {
		there[p.Agent.Name] = p
	}
	out := []Listed{}
	for _, m := range a.Authority.Members() {
		l := Listed{Agent: netp.Agent{Name: m.Name}, State: "away", Joined: m.Joined, CertificateEnds: m.Ends}
		if p, ok := there[m.Name]; ok {
			l.Agent, l.LastSeen = p.Agent, p.Seen
			if !p.Away {
				l.State, l.Running, l.Health = a.state(p), p.Running, p.Health
			}
		}
		l.Drained = a.Authority.Drained(m.Name)
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b Listed) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return out
}

// state is the word for an agent that is there.
func (a API) state(p Presence) string {
	switch {
	case p.Draining:
		return "draining"
	case a.Authority.Drained(p.Agent.Name):
		return "drained"
	}
	return "ready"
}

// bodyTimeout bounds how long a body may take: nobody has proved anything yet.
const bodyTimeout = 10 * time.Second

// read takes a body of JSON, of at most wire.MaxEnrolment bytes; false means that
// the answer is given.
func read(w http.ResponseWriter, r *http.Request, into any) bool {
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)); err != nil {
		decline(w, http.StatusInternalServerError, "internal", "The connection cannot be bounded in time.")
		return false
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, wire.MaxEnrolment))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		decline(w, http.StatusRequestEntityTooLarge, "too_large", "The request has more than %d bytes.", wire.MaxEnrolment)
		return false
	case err != nil:
		decline(w, http.StatusRequestTimeout, "timeout", "The request did not come in %s.", bodyTimeout)
		return false
	}
	if len(data) == 0 {
		return true
	}
	if err := wire.Decode(data, into); err != nil {
		decline(w, http.StatusBadRequest, "bad_request", "The request is not the JSON expected here.")
		return false
	}
	return true
}

// reply writes a value, or why there is none. Only refusals are told in words: the
// controller's own trouble is for its log.
func (a API) reply(w http.ResponseWriter, value any, err error) {
	if err == nil {
		answer(w, http.StatusOK, value)
		return
	}
	if errors.Is(err, errUnsaved) {
		a.Authority.cfg.Logger.Error("request failed", "error", err)
		decline(w, http.StatusServiceUnavailable, "unavailable", "The controller cannot write to its data directory; its log says why. "+
			"What was asked may be in effect until it restarts, and no longer: do it again when it can write.")
		return
	}
	why := reasonOf(err)
	status, known := map[reason]int{
		badRequest: http.StatusBadRequest, forbidden: http.StatusForbidden,
		conflict: http.StatusConflict, unknown: http.StatusNotFound,
	}[why]
	if !known {
		a.Authority.cfg.Logger.Error("request failed", "error", err)
		decline(w, http.StatusInternalServerError, "internal", "The controller could not do this; its log says why.")
		return
	}
	decline(w, status, string(why), "%s", err)
}

// decline writes why there is no answer.
func decline(w http.ResponseWriter, status int, code, format string, args ...any) {
	answer(w, status, wire.Refusal{Code: code, Detail: fmt.Sprintf(format, args...)})
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if status == http.StatusUnauthorized {
		Challenge(w.Header())
	}
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(value) // an error means that the asker is gone
}
