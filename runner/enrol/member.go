package enrol

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/wire"
)

// member is an agent that belongs to the controller.
type member struct {
	Key    string    `json:"key"` // the pin of its key, hex
	Joined time.Time `json:"joined"`
	// Ends is when the latest certificate ends.
	Ends time.Time `json:"ends"`
}

// renewGrace is how long after its end a certificate still renews itself: an
// agent that was away for some weeks comes back by itself.
const renewGrace = 30 * 24 * time.Hour

func keyOf(c *x509.Certificate) string {
	pin := wire.PinOf(c)
	return hex.EncodeToString(pin[:])
}

// Enrol lets an agent in that shows a good token, once. The same key with the same
// token gets the same yes again, for the answer may have been lost. An error of
// type *Refused is for the one who asked; any other is the controller's own trouble.
func (a *Authority) Enrol(e wire.Enrolment) (wire.Membership, error) {
	if err := wire.CheckName(e.Name); err != nil {
		return wire.Membership{}, refuse(badRequest, "%v.", err)
	}
	public, err := requestedKey(e.Request)
	if err != nil {
		return wire.Membership{}, err
	}
	// Signing before the token is looked at costs little, and gives the key's pin.
	cert, err := a.issue(e.Name, public)
	if err != nil {
		return wire.Membership{}, err
	}
	key := keyOf(cert)
	a.mu.Lock()
	defer a.mu.Unlock()
	t, err := a.find(e.Secret, e.Name, key)
	if err == nil {
		err = a.admissible(e.Name, key)
	}
	if err != nil {
		a.cfg.Logger.Warn("enrolment refused", "agent", e.Name, "reason", err)
		return wire.Membership{}, err
	}
	now := a.cfg.Now().UTC()
	t.UsedBy = key
	a.state.Agents[e.Name] = &member{Key: key, Joined: now, Ends: cert.NotAfter}
	if err := a.save(); err != nil {
		return wire.Membership{}, err
	}
	a.cfg.Logger.Info("agent enrolled", "agent", e.Name, "certificate", cert.SerialNumber.Text(16), "until", cert.NotAfter)
	return a.membership(e.Name, cert), nil
}

// admissible says whether a name and a key may become a member. a.mu is held.
func (a *Authority) admissible(id netp.AgentID, key string) error {
	if _, ok := a.state.Revoked[key]; ok {
		return refuse(forbidden, "This agent's key has been revoked; remove its data directory and join with a new token.")
	}
	if m := a.state.Agents[id]; m != nil && m.Key != key {
		return refuse(conflict, "An agent with the name %q belongs to this controller already; give this one another name, or revoke that one first (netp agents revoke %s).", id, id)
	}
	return nil
}

func (a *Authority) membership(id netp.AgentID, cert *x509.Certificate) wire.Membership {
	return wire.Membership{
		Name: id, Certificate: cert.Raw, CA: a.ca.Raw, OrderKey: a.orderKey.Public().(ed25519.PublicKey),
		Bus: a.cfg.Bus, Controllers: a.cfg.Controllers,
	}
}

// requestedKey is the public key of a certificate request whose signature proves
// that the sender has the private one.
func requestedKey(der []byte) (any, error) {
	r, err := x509.ParseCertificateRequest(der)
	if err == nil {
		err = r.CheckSignature()
	}
	if err != nil {
		return nil, refuse(badRequest, "The certificate request cannot be read: %v.", err)
	}
	switch key := r.PublicKey.(type) {
	case ed25519.PublicKey:
		return key, nil
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			return key, nil
		}
	}
	return nil, refuse(badRequest, "An agent's key is Ed25519 or ECDSA P-256.")
}

// Renew gives an agent a new certificate for the key it has, by the one it shows:
// TLS has proved that it holds the key, everything else is checked here. A
// certificate that ended up to 30 days ago is good enough, and one that a clock that was
// ahead made for a later time: neither is the agent's fault.
func (a *Authority) Renew(shown *x509.Certificate) (wire.Membership, error) {
	now := a.cfg.Now()
	if now.After(shown.NotAfter.Add(renewGrace)) {
		return wire.Membership{}, refuse(forbidden, "The certificate ended at %s, more than 30 days ago; revoke the agent, remove its data directory, and join with a new token.", shown.NotAfter.UTC().Format(time.RFC3339))
	}
	at := now
	if at.After(shown.NotAfter) {
		at = shown.NotAfter
	} else if at.Before(shown.NotBefore) {
		at = shown.NotBefore
	}
	id, err := a.identify(shown, at)
	if err != nil {
		return wire.Membership{}, err
	}
	cert, err := a.issue(id, shown.PublicKey)
	if err != nil {
		return wire.Membership{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.belongs(id, keyOf(shown)); err != nil { // again: it may have been revoked meanwhile
		return wire.Membership{}, err
	}
	a.state.Agents[id].Ends = cert.NotAfter
	if err := a.save(); err != nil {
		return wire.Membership{}, err
	}
	a.cfg.Logger.Info("certificate renewed", "agent", id, "certificate", cert.SerialNumber.Text(16), "until", cert.NotAfter)
	return a.membership(id, cert), nil
}

// Admit says which agent a certificate lets onto the bus now. It is safe to call
// for every connection and never blocks for long.
func (a *Authority) Admit(cert *x509.Certificate) (netp.AgentID, error) {
	return a.identify(cert, a.cfg.Now())
}

// identify verifies a certificate as of a time and finds the member it is for.
func (a *Authority) identify(cert *x509.Certificate, at time.Time) (netp.AgentID, error) {
	_, err := cert.Verify(x509.VerifyOptions{Roots: a.roots(), CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return "", refuse(forbidden, "The certificate is not good here: %v.", err)
	}
	id, err := wire.CertificateAgent(cert)
	if err != nil {
		return "", refuse(forbidden, "%v.", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return id, a.belongs(id, keyOf(cert))
}

// belongs says whether the agent with this key is a member. a.mu is held.
func (a *Authority) belongs(id netp.AgentID, key string) error {
	if when, ok := a.state.Revoked[key]; ok {
		return refuse(forbidden, "Agent %q was revoked at %s; to let it in again, remove its data directory and join with a new token.", id, when.Format(time.RFC3339))
	}
	if m := a.state.Agents[id]; m == nil || m.Key != key {
		return refuse(forbidden, "Agent %q with this key does not belong to this controller.", id)
	}
	return nil
}

// Revoke ends an agent's membership for good: its key never comes back. When it
// returns without an error this is on the disk; who is connected must be expelled
// by the caller. The name is free for another key and a new token.
func (a *Authority) Revoke(id netp.AgentID) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	m := a.state.Agents[id]
	if m == nil {
		if err := a.settle(); err != nil {
			return err
		}
		return noAgent(id)
	}
	a.state.Revoked[m.Key] = a.cfg.Now().UTC().Truncate(time.Second)
	delete(a.state.Agents, id)
	delete(a.state.Drained, id) // who gets the name next is another
	if err := a.save(); err != nil {
		return errors.Join(fmt.Errorf("agent %s is revoked until the controller restarts only", id), err)
	}
	a.cfg.Logger.Warn("agent revoked", "agent", id)
	return nil
}

// Member is an agent that belongs to the controller, there or not.
type Member struct {
	Name   netp.AgentID
	Joined time.Time
	Ends   time.Time // of its latest certificate
}

// Belongs reports whether an agent of this name belongs to the controller.
func (a *Authority) Belongs(id netp.AgentID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state.Agents[id] != nil
}

// Members lists the agents that belong to the controller, in no order.
func (a *Authority) Members() []Member {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]Member, 0, len(a.state.Agents))
	for id, m := range a.state.Agents {
		out = append(out, Member{id, m.Joined, m.Ends})
	}
	return out
}
