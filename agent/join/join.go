// Package join makes an agent a member of a controller and keeps it one: it makes
// the agent's key, shows the join token to the controller the token pins, keeps
// what it gets in the agent's data directory, and renews the certificate. It
// opens no connection to the bus and runs no agent.
//
// Start with Join, then Member.Keep.
package join

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
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

// Files of the data directory.
const (
	keyFile    = "agent.key"
	memberFile = "agent.json"
)

// ErrNotJoined is returned for a data directory that belongs to no member yet.
var ErrNotJoined = errors.New("this agent has not joined a controller yet")

// Refused is the controller's no, in its own words.
type Refused struct{ Reason string }

// Error is the controller's sentence.
func (r *Refused) Error() string { return "the controller refuses: " + r.Reason }

// Member is an agent that has joined. It may be used concurrently.
type Member struct {
	dir   string
	key   ed25519.PrivateKey
	ca    *x509.Certificate
	doubt chan struct{}

	mu   sync.Mutex // guards what follows
	has  wire.Membership
	cert *x509.Certificate
}

// Load reads the membership in a data directory; ErrNotJoined when there is none.
func Load(dir string) (*Member, error) {
	data, err := os.ReadFile(filepath.Join(dir, memberFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotJoined
	}
	if err != nil {
		return nil, err
	}
	var has wire.Membership
	if err := json.Unmarshal(data, &has); err != nil {
		return nil, fmt.Errorf("%s is damaged; restore it, or remove the directory and join again: %w", filepath.Join(dir, memberFile), err)
	}
	key, err := readKey(dir)
	if err != nil {
		return nil, err
	}
	return newMember(dir, key, has)
}

// newMember checks that key, certificate and authority fit together.
func newMember(dir string, key ed25519.PrivateKey, has wire.Membership) (*Member, error) {
	ca, err := x509.ParseCertificate(has.CA)
	if err != nil {
		return nil, fmt.Errorf("the controller's certificate: %w", err)
	}
	m := &Member{dir: dir, key: key, ca: ca, doubt: make(chan struct{}, 1)}
	return m, m.take(has)
}

// take puts a membership in the place of the one before.
func (m *Member) take(has wire.Membership) error {
	cert, err := x509.ParseCertificate(has.Certificate)
	if err != nil {
		return fmt.Errorf("the agent's certificate: %w", err)
	}
	id, err := wire.CertificateAgent(cert)
	switch {
	case err != nil:
		return err
	case cert.CheckSignatureFrom(m.ca) != nil:
		return errors.New("the agent's certificate is not of the controller it joined")
	case !m.key.Public().(ed25519.PublicKey).Equal(cert.PublicKey):
		return errors.New("the agent's certificate is for another key")
	case id != has.Name:
		return fmt.Errorf("the agent's certificate is for %q, not %q", id, has.Name)
	case len(has.OrderKey) != ed25519.PublicKeySize || len(has.Bus) == 0 || len(has.Controllers) == 0:
		return errors.New("the controller's answer is incomplete")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.has, m.cert = has, cert
	return nil
}

// Join makes the agent with its data in dir a member under a name, by a token. The
// directory and the key are made when missing; a second try with the same
// directory and token succeeds when only the answer to the first was lost.
//
// Errors are a malformed token, wire.ErrPin for a controller that is not the
// token's (nothing was sent then), *Refused, or what keeps it from the controller.
func Join(ctx context.Context, dir, word string, id netp.AgentID) (*Member, error) {
	if err := wire.CheckName(id); err != nil {
		return nil, err
	}
	token, err := wire.ParseJoinToken(word)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	key, err := readKey(dir)
	if errors.Is(err, fs.ErrNotExist) {
		key, err = makeKey(dir)
	}
	if err != nil {
		return nil, err
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, fmt.Errorf("write the certificate request: %w", err)
	}
	has, err := ask(ctx, token.Controllers, wire.EnrolPath, wire.PinnedTLS(token.Pin), wire.Enrolment{Name: id, Secret: token.Secret, Request: request})
	if err != nil {
		return nil, err
	}
	m, err := newMember(dir, key, has)
	switch {
	case err != nil:
		return nil, err
	case wire.PinOf(m.ca) != token.Pin:
		return nil, wire.ErrPin
	case has.Name != id:
		return nil, fmt.Errorf("the controller let in %q, not %q", has.Name, id)
	}
	return m, m.save(has)
}

func (m *Member) save(has wire.Membership) error {
	data, err := json.MarshalIndent(has, "", " ")
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(m.dir, memberFile), data, 0o600)
}

func makeKey(dir string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, durable.WriteFile(filepath.Join(dir, keyFile), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

func readKey(dir string) (ed25519.PrivateKey, error) {
	path := filepath.Join(dir, keyFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s holds no key; restore it, or remove the directory and join again", path)
	}
	any, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	key, ok := any.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds no Ed25519 key", path)
	}
	return key, nil
}

// Name is the agent's.
func (m *Member) Name() netp.AgentID {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.has.Name
}

// OrderKey is the only key whose orders are to be obeyed.
func (m *Member) OrderKey() ed25519.PublicKey {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.has.OrderKey
}

// Bus lists the addresses of the bus, HOST:PORT.
func (m *Member) Bus() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.has.Bus
}

// TLS is the agent's side of TLS with the controller: each handshake shows the
// latest certificate.
func (m *Member) TLS() *tls.Config {
	c := wire.PinnedTLS(wire.PinOf(m.ca))
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		return &tls.Certificate{Certificate: [][]byte{m.cert.Raw}, PrivateKey: m.key, Leaf: m.cert}, nil
	}
	return c
}

// due is when the certificate is to be renewed: at two thirds of its life.
func (m *Member) due() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cert.NotBefore.Add(m.cert.NotAfter.Sub(m.cert.NotBefore) * 2 / 3)
}

// Renew asks the controller for a new certificate now. Errors are as for Join.
func (m *Member) Renew(ctx context.Context) error {
	m.mu.Lock()
	controllers := m.has.Controllers
	m.mu.Unlock()
	has, err := ask(ctx, controllers, wire.RenewPath, m.TLS(), wire.Enrolment{})
	if err == nil {
		err = m.take(has)
	}
	if err == nil {
		err = m.save(has)
	}
	if err != nil {
		return fmt.Errorf("renew the certificate: %w", err)
	}
	return nil
}

// Pauses between tries at a renewal, doubling.
const (
	firstPause = 10 * time.Second
	lastPause  = 10 * time.Minute
)

// Doubt makes Keep ask the controller soon whether the agent is still wanted: the
// bus has refused it. It never blocks.
func (m *Member) Doubt() {
	select {
	case m.doubt <- struct{}{}:
	default: // it will ask
	}
}

// Keep renews the certificate whenever it is due or in doubt, until ctx is done. It returns
// *Refused when the controller does not want the agent any more; everything else
// it tries again.
func (m *Member) Keep(ctx context.Context, logger *slog.Logger) error {
	pause := firstPause
	wait := time.Until(m.due())
	var asked time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		case <-m.doubt:
			if time.Since(asked) < firstPause {
				wait = min(max(0, time.Until(m.due())), firstPause)
				continue
			}
		}
		asked = time.Now()
		err := m.Renew(ctx)
		var refused *Refused
		switch {
		case err == nil:
			pause, wait = firstPause, max(time.Until(m.due()), firstPause)
			logger.Info("certificate renewed", "next", m.due())
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &refused):
			return err
		default:
			logger.Warn("certificate not renewed yet", "error", err, "again in", pause)
			wait, pause = pause, min(2*pause, lastPause)
		}
	}
}
