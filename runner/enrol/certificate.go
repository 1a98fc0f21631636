package enrol

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/wire"
	"github.com/netpupper/netp/durable"
)

const (
	// authorityLife is the CA's; serverLife the controller's own certificate's, of
	// which a new one is made at two thirds.
	authorityLife = 20 * 365 * 24 * time.Hour
	serverLife    = 90 * 24 * time.Hour
	// backdate forgives a controller whose clock is set back a little.
	backdate = time.Hour
	// serverBackdate forgives agents and commands whose clock is behind.
	serverBackdate = 24 * time.Hour
)

// loadKeys reads the CA and the order key, or makes them. The CA's certificate is
// written last: it is what says that the directory is complete.
func (a *Authority) loadKeys() error {
	text, err := os.ReadFile(a.path(caFile))
	if errors.Is(err, fs.ErrNotExist) {
		if err := a.makeKeys(); err != nil {
			return fmt.Errorf("make the controller's keys: %w", err)
		}
		text, err = os.ReadFile(a.path(caFile))
	}
	if err != nil {
		return err
	}
	der, err := unwrap(text, "CERTIFICATE")
	if err == nil {
		a.ca, err = x509.ParseCertificate(der)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", caFile, err)
	}
	caKey, err := readKey[*ecdsa.PrivateKey](a.path(caKeyFile))
	if err != nil {
		return withRemedy(err)
	}
	if !caKey.PublicKey.Equal(a.ca.PublicKey) {
		return fmt.Errorf("%s does not belong to %s", caKeyFile, caFile)
	}
	a.caKey = caKey
	a.orderKey, err = readKey[ed25519.PrivateKey](a.path(orderKeyFile))
	return withRemedy(err)
}

// withRemedy says what to do without a key file that was there.
func withRemedy(err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fmt.Errorf("%w; restore it from a backup. Without one %s", err, anew())
}

// anew is how to get new keys.
func anew() string {
	return fmt.Sprintf("remove %s, %s, %s, %s and %s, and have every agent join again with its data directory removed", caFile, caKeyFile, orderKeyFile, stateFile, adminFile)
}

// checkTime says in the log that nobody trusts the authority while the clock is behind
// its certificate. It is no error: the clock may be set right at any moment.
func (a *Authority) checkTime() {
	if now := a.cfg.Now(); now.Before(a.ca.NotBefore) {
		a.cfg.Logger.Error("no agent and no command trusts this controller yet, for "+caFile+" is of a later time: set this host's clock; if it was ahead when "+
			caFile+" was made, stop the controller, "+anew(), "good from", a.ca.NotBefore, "now", now)
	}
}

func (a *Authority) makeKeys() error {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	_, orderKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	now := a.cfg.Now()
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "netp controller authority"},
		NotBefore: now.Add(-serverBackdate), NotAfter: now.Add(authorityLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, caKey.Public(), caKey)
	if err != nil {
		return err
	}
	if err := errors.Join(writeKey(a.path(caKeyFile), caKey), writeKey(a.path(orderKeyFile), orderKey)); err != nil {
		return err
	}
	return durable.WriteFile(a.path(caFile), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
}

func writeKey(path string, key any) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return durable.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

func readKey[T any](path string) (T, error) {
	var none T
	text, err := os.ReadFile(path)
	if err != nil {
		return none, err
	}
	der, err := unwrap(text, "PRIVATE KEY")
	if err != nil {
		return none, fmt.Errorf("%s: %w", path, err)
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return none, fmt.Errorf("%s: %w", path, err)
	}
	typed, ok := key.(T)
	if !ok {
		return none, fmt.Errorf("%s holds a %T, not a %T", path, key, none)
	}
	return typed, nil
}

func unwrap(text []byte, kind string) ([]byte, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("no PEM block of type %s", kind)
	}
	return block.Bytes, nil
}

// serial is a random serial number of 127 bits (RFC 5280 §4.1.2.2 allows 160).
func serial() *big.Int {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b[:])
}

// issue signs a certificate for an agent's key.
func (a *Authority) issue(id netp.AgentID, key any) (*x509.Certificate, error) {
	now := a.cfg.Now()
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: string(id)}, URIs: []*url.URL{wire.AgentURI(id)},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(a.cfg.Lifetime),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.ca, key, a.caKey)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of %s: %w", id, err)
	}
	return x509.ParseCertificate(der)
}

// serverCertificate is the controller's own, made anew when it has aged, or when the
// clock that it was made by turns out to have been ahead.
func (a *Authority) serverCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.cfg.Now()
	if a.server != nil && now.After(a.server.Leaf.NotBefore.Add(serverBackdate-backdate)) && now.Before(a.server.Leaf.NotBefore.Add(serverLife*2/3)) {
		return a.server, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: wire.ControllerName}, DNSNames: []string{wire.ControllerName, "localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore:   now.Add(-serverBackdate), NotAfter: now.Add(serverLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, address := range a.cfg.Controllers {
		if host, _, err := net.SplitHostPort(address); err != nil {
			continue // only names for browsers are lost: agents know ControllerName
		} else if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.ca, key.Public(), a.caKey)
	if err != nil {
		return nil, fmt.Errorf("sign the controller's certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	a.server = &tls.Certificate{Certificate: [][]byte{der, a.ca.Raw}, PrivateKey: key, Leaf: leaf}
	return a.server, nil
}

// roots holds the authority alone.
func (a *Authority) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.ca)
	return pool
}

// BusTLS is the bus's side of TLS 1.3: only certificates of this authority pass.
func (a *Authority) BusTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, GetCertificate: a.serverCertificate,
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.roots(),
	}
}

// HTTPTLS is the API's side of TLS 1.3. A certificate may be shown and is judged
// where it matters: at the renewal, which also takes one that has ended.
func (a *Authority) HTTPTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, GetCertificate: a.serverCertificate,
		ClientAuth: tls.RequestClientCert, NextProtos: []string{"h2", "http/1.1"},
	}
}
