// Package enrol decides who belongs to a controller: it is the controller's
// certificate authority, makes join tokens, takes agents in, renews and revokes
// them, and knows who may use the controller: the admin token and role tokens. It opens no listener and speaks to no agent
// that has been let in; the bus and the HTTP server ask it.
//
// Start with Open and Authority.Enrol; http.go is the API.
package enrol

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/wire"
	"github.com/netpupper/netp/durable"
)

// Options say how an authority works. Dir is required.
type Options struct {
	// Dir holds keys and state; it is made, for the owner only, when missing. One
	// controller at a time uses it.
	Dir string
	// Bus and Controllers are the addresses, HOST:PORT, that agents are told to use.
	Bus, Controllers []string
	// Lifetime is how long an agent's certificate is good; 0 for 24 hours.
	Lifetime time.Duration
	// Now is the clock; nil for the system's.
	Now func() time.Time
	// Logger gets who was let in, refused and revoked; nil logs nothing.
	Logger *slog.Logger
}

// Files of the directory. admin.token and ca.pem are for the operator to read.
const (
	caFile       = "ca.pem"
	caKeyFile    = "ca.key"
	orderKeyFile = "orders.key"
	adminFile    = "admin.token"
	stateFile    = "enrol.json"
)

// Authority is an open authority. It may be used concurrently.
type Authority struct {
	cfg      Options
	ca       *x509.Certificate
	caKey    *ecdsa.PrivateKey
	orderKey ed25519.PrivateKey
	admin    [sha256.Size]byte // of the admin secret

	mu      sync.Mutex // guards what follows and the state file
	state   state
	unsaved bool // the state is not what the file says: the last save failed
	server  *tls.Certificate
}

// state is the file enrol.json, version 1.
type state struct {
	Version int    `json:"version"`
	Epoch   uint64 `json:"epoch"`
	// Tokens are by the SHA-256 of their secret, hex.
	Tokens map[string]*token        `json:"tokens"`
	Agents map[netp.AgentID]*member `json:"agents"`
	// Revoked are the keys (pins, hex) that never come back, and when they went.
	Revoked map[string]time.Time `json:"revoked"`
	// Access are the role tokens by name; Drained the agents that get no new
	// sessions, and since when.
	Access  map[string]*access         `json:"access,omitempty"`
	Drained map[netp.AgentID]time.Time `json:"drained,omitempty"`
}

const stateVersion = 1

// Open opens the authority in a directory, and makes it on first use.
func Open(o Options) (*Authority, error) {
	if o.Lifetime == 0 {
		o.Lifetime = 24 * time.Hour
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	a := &Authority{cfg: o}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	if err := os.Chmod(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("keep the data directory private: %w", err)
	}
	for _, load := range []func() error{a.loadState, a.loadKeys, a.loadAdmin} {
		if err := load(); err != nil {
			return nil, fmt.Errorf("data directory %s: %w", o.Dir, err)
		}
	}
	a.checkTime()
	return a, nil
}

func (a *Authority) path(name string) string { return filepath.Join(a.cfg.Dir, name) }

func (a *Authority) loadState() error {
	a.state = state{Version: stateVersion}
	data, err := os.ReadFile(a.path(stateFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(data, &a.state); err != nil {
			return fmt.Errorf("%s is damaged; restore it from a backup: %w", stateFile, err)
		}
		if a.state.Version != stateVersion {
			return fmt.Errorf("%s is of version %d, this netp reads version %d", stateFile, a.state.Version, stateVersion)
		}
	}
	if a.state.Tokens == nil {
		a.state.Tokens = make(map[string]*token)
	}
	if a.state.Agents == nil {
		a.state.Agents = make(map[netp.AgentID]*member)
	}
	if a.state.Revoked == nil {
		a.state.Revoked = make(map[string]time.Time)
	}
	if a.state.Access == nil {
		a.state.Access = make(map[string]*access)
	}
	if a.state.Drained == nil {
		a.state.Drained = make(map[netp.AgentID]time.Time)
	}
	return nil
}

// errUnsaved is returned for what could not be written down.
var errUnsaved = errors.New("save who belongs to the controller")

// save writes the state; what it returns from is on the disk. a.mu is held.
func (a *Authority) save() error {
	data, err := json.MarshalIndent(a.state, "", " ")
	if err == nil {
		err = durable.WriteFile(a.path(stateFile), data, 0o600)
	}
	a.unsaved = err != nil
	if err != nil {
		return fmt.Errorf("%w: %w", errUnsaved, err)
	}
	return nil
}

// settle writes what the last save could not, before somebody who does it again hears
// that there is nothing left to do. a.mu is held.
func (a *Authority) settle() error {
	if a.unsaved {
		return a.save()
	}
	return nil
}

func (a *Authority) loadAdmin() error {
	text, err := os.ReadFile(a.path(adminFile))
	if errors.Is(err, fs.ErrNotExist) {
		secret := make([]byte, wire.SecretSize)
		rand.Read(secret) // never fails
		text = []byte(wire.AccessToken{Pin: a.Pin(), Secret: secret}.String() + "\n")
		err = durable.WriteFile(a.path(adminFile), text, 0o600)
	}
	if err != nil {
		return err
	}
	t, err := wire.ParseAccessToken(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w; remove the file to get a new token", adminFile, err)
	}
	if t.Pin != a.Pin() {
		return fmt.Errorf("%s belongs to another %s; remove the file to get a new token", adminFile, caFile)
	}
	a.admin = sha256.Sum256(t.Secret)
	return nil
}

// AdminTokenFile is where the operator finds the admin token.
func (a *Authority) AdminTokenFile() string { return a.path(adminFile) }

// OrderKey signs orders.
func (a *Authority) OrderKey() ed25519.PrivateKey { return a.orderKey }

// Pin is what tokens pin: the authority's own key.
func (a *Authority) Pin() wire.Pin { return wire.PinOf(a.ca) }

// NextEpoch gives the epoch of this start of the controller, greater than that of
// every earlier one. It follows the clock, so that a controller restored from a
// backup is not older than it was.
func (a *Authority) NextEpoch() (uint64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state.Epoch = max(a.state.Epoch+1, uint64(max(0, a.cfg.Now().Unix())))
	return a.state.Epoch, a.save()
}
