package enrol

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/wire"
)

const (
	// TokenLife is how long a join token is good unless asked otherwise; MaxTokenLife
	// is the longest.
	TokenLife    = 15 * time.Minute
	MaxTokenLife = 7 * 24 * time.Hour
	// keptAfter is how long an ended token is remembered, so that who comes late
	// hears why.
	keptAfter = 24 * time.Hour
	maxTokens = 10_000
)

// token is a join token as the state keeps it: without its secret.
type token struct {
	Expires time.Time    `json:"expires"`
	Name    netp.AgentID `json:"name,omitempty"` // the only name it is for; empty for any
	// UsedBy is the pin (hex) of the key it let in. The same key may ask again: the
	// answer may have been lost.
	UsedBy string `json:"used_by,omitempty"`
}

// TokenRequest says what a join token is for.
type TokenRequest struct {
	// Name is the only agent name it lets in; empty for any that is free.
	Name netp.AgentID `json:"name,omitempty"`
	// Life is how long it is good [ns]; 0 for TokenLife.
	Life time.Duration `json:"life,omitempty"`
}

// Token makes a join token that lets one agent in.
func (a *Authority) Token(r TokenRequest) (wire.JoinToken, error) {
	t := wire.JoinToken{Controllers: a.cfg.Controllers, Pin: a.Pin(), Secret: make([]byte, wire.SecretSize)}
	if r.Name != "" {
		if err := wire.CheckName(r.Name); err != nil {
			return t, refuse(badRequest, "%v.", err)
		}
	}
	if r.Life == 0 {
		r.Life = TokenLife
	}
	if r.Life < 0 || r.Life > MaxTokenLife {
		return t, refuse(badRequest, "A join token is good for at most %d days.", MaxTokenLife/(24*time.Hour))
	}
	rand.Read(t.Secret) // never fails
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forgetTokens()
	if len(a.state.Tokens) >= maxTokens {
		return t, refuse(conflict, "There are %d join tokens; wait until some have expired.", maxTokens)
	}
	a.state.Tokens[tokenKey(t.Secret)] = &token{Expires: a.cfg.Now().Add(r.Life).UTC(), Name: r.Name}
	return t, a.save()
}

func tokenKey(secret []byte) string {
	sum := sha256.Sum256(secret)
	return hex.EncodeToString(sum[:])
}

// forgetTokens drops those that ended long ago. a.mu is held.
func (a *Authority) forgetTokens() {
	now := a.cfg.Now()
	for key, t := range a.state.Tokens {
		if now.After(t.Expires.Add(keptAfter)) {
			delete(a.state.Tokens, key)
		}
	}
}

// find looks a token up for a key that wants in. Secrets are looked up by their
// hash, so the time it takes tells nothing of them. a.mu is held.
func (a *Authority) find(secret []byte, id netp.AgentID, key string) (*token, error) {
	t := a.state.Tokens[tokenKey(secret)]
	switch {
	case t == nil:
		return nil, refuse(forbidden, "This controller knows no such join token; make one with netp agents token.")
	case t.UsedBy != "" && t.UsedBy != key:
		return nil, refuse(forbidden, "The join token has been used: one token lets one agent in; make another with netp agents token.")
	case a.cfg.Now().After(t.Expires):
		return nil, refuse(forbidden, "The join token expired at %s; make another with netp agents token.", t.Expires.Format(time.RFC3339))
	case t.Name != "" && t.Name != id:
		return nil, refuse(forbidden, "The join token is for another agent's name than %q.", id)
	}
	return t, nil
}

// reason is why somebody is refused: a code of the controller's API.
type reason string

const (
	badRequest reason = "bad_request"
	forbidden  reason = "forbidden"
	conflict   reason = "conflict"
	unknown    reason = "not_found"
)

// Refused is a no of the authority: a sentence for the one who asked.
type Refused struct {
	reason reason
	text   string
}

// Error is the sentence, or the sentences.
func (r *Refused) Error() string { return r.text }

func refuse(r reason, format string, args ...any) error {
	return &Refused{r, fmt.Sprintf(format, args...)}
}

// reasonOf finds why; empty when the error is no refusal.
func reasonOf(err error) reason {
	var r *Refused
	if errors.As(err, &r) {
		return r.reason
	}
	return ""
}
