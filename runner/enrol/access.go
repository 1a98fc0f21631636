package enrol

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/netpupper/netp/agent/wire"
)

const (
	// AccessLife is how long a role token is good unless asked otherwise;
	// MaxAccessLife is the longest.
	AccessLife    = 90 * 24 * time.Hour
	MaxAccessLife = 2 * 366 * 24 * time.Hour
	// maxAccess bounds the role tokens: each is compared with on every request.
	maxAccess = 1000
	// maxAccessName bounds their names [B].
	maxAccessName = 63
)

// accessName is what role tokens may be called.
var accessName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.@-]*$`)

// access is a role token as the state keeps it: without its secret.
type access struct {
	Hash    string    `json:"sha256"` // of the secret, hex
	Role    Role      `json:"role"`
	Made    time.Time `json:"made"`
	Expires time.Time `json:"expires"`
}

// AccessRequest asks for a role token.
type AccessRequest struct {
	// Name tells tokens apart, for who lists and revokes them.
	Name string `json:"name"`
	Role Role   `json:"role"`
	// Life is how long it is good [ns]; 0 for AccessLife.
	Life time.Duration `json:"life,omitempty"`
}

// Access is a role token as it is listed.
type Access struct {
	Name    string    `json:"name"`
	Role    Role      `json:"role"`
	Made    time.Time `json:"made"`
	Expires time.Time `json:"expires"`
	Expired bool      `json:"expired,omitempty"`
}

// GrantAccess makes a role token. Its secret is nowhere else: who loses it makes
// another. It pins the controller's key as the admin token does.
func (a *Authority) GrantAccess(r AccessRequest) (wire.AccessToken, Access, error) {
	t := wire.AccessToken{Pin: a.Pin(), Secret: make([]byte, wire.SecretSize)}
	if r.Life == 0 {
		r.Life = AccessLife
	}
	switch {
	case len(r.Name) > maxAccessName || !accessName.MatchString(r.Name):
		return t, Access{}, refuse(badRequest, "%q is no name for a token: letters, digits and _ . @ -, at most 63.", r.Name)
	case r.Role.rank() == 0:
		return t, Access{}, refuse(badRequest, "There is no role %q; the roles are %s, %s and %s.", r.Role, Viewer, Operator, Admin)
	case r.Life < 0 || r.Life > MaxAccessLife:
		return t, Access{}, refuse(badRequest, "A role token is good for at most two years.")
	}
	rand.Read(t.Secret) // never fails
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.cfg.Now().UTC()
	switch old := a.state.Access[r.Name]; {
	case old != nil && now.Before(old.Expires):
		return t, Access{}, refuse(conflict, "There is a token %q already; give this one another name, or revoke that one first (netp tokens revoke %s).", r.Name, r.Name)
	case old == nil && len(a.state.Access) >= maxAccess:
		return t, Access{}, refuse(conflict, "There are %d role tokens; revoke some that nobody uses.", maxAccess)
	}
	a.state.Access[r.Name] = &access{Hash: tokenKey(t.Secret), Role: r.Role, Made: now, Expires: now.Add(r.Life)}
	if err := a.save(); err != nil {
		delete(a.state.Access, r.Name)
		return t, Access{}, err
	}
	a.cfg.Logger.Info("role token made", "token", r.Name, "role", r.Role, "until", now.Add(r.Life))
	return t, a.listed(r.Name), nil
}

// RevokeAccess ends a role token at once.
func (a *Authority) RevokeAccess(name string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.state.Access[name] == nil {
		if err := a.settle(); err != nil {
			return err
		}
		return refuse(unknown, "There is no role token %q; netp tokens list shows those there are.", name)
	}
	delete(a.state.Access, name)
	a.cfg.Logger.Warn("role token revoked", "token", name)
	return a.save()
}

// ListAccess lists the role tokens, by name. The admin token is not among them.
func (a *Authority) ListAccess() []Access {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := []Access{}
	for name := range a.state.Access {
		out = append(out, a.listed(name))
	}
	slices.SortFunc(out, func(a, b Access) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// listed is one token for who lists them. a.mu is held.
func (a *Authority) listed(name string) Access {
	t := a.state.Access[name]
	return Access{Name: name, Role: t.Role, Made: t.Made, Expires: t.Expires, Expired: !a.cfg.Now().Before(t.Expires)}
}

// Authorise gives the role of who shows a token: the admin token or a role token
// that has not expired. It looks at all of them, so the time it takes tells
// nothing of any.
func (a *Authority) Authorise(word string) (Role, bool) {
	t, err := wire.ParseAccessToken(word)
	sum := sha256.Sum256(t.Secret)
	role := Role("")
	if subtle.ConstantTimeCompare(sum[:], a.admin[:]) == 1 {
		role = Admin
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.cfg.Now()
	for _, known := range a.state.Access {
		hash, _ := hex.DecodeString(known.Hash) // a damaged one equals nothing
		if subtle.ConstantTimeCompare(sum[:], hash) == 1 && now.Before(known.Expires) {
			role = known.Role
		}
	}
	return role, err == nil && role.rank() > 0
}
