package bus

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{t, cert, key}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func (a *authority) issue(name string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// guarded is a server that admits guests by the name in their certificate, with what else cfg says.
func guarded(t *testing.T, a *authority, cfg Config, admit func(name string) (Guest, error)) *Server {
	cfg.Dir, cfg.Ephemeral, cfg.Listen = t.TempDir(), true, "127.0.0.1:0"
	cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{a.issue("bus")},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.pool()}
	cfg.Admit = func(c *x509.Certificate) (Guest, error) { return admit(c.Subject.CommonName) }
	s := serve(t, cfg)
	t.Cleanup(func() { s.Close() })
	return s
}

func ownSubjects(name string) (Guest, error) {
	return Guest{Name: name, Publish: "a." + name + ".>", Subscribe: "c." + name + ".>"}, nil
}

func dial(t *testing.T, s *Server, a *authority, cert tls.Certificate, more ...nats.Option) (*nats.Conn, error) {
	config := &tls.Config{RootCAs: a.pool(), ServerName: "bus", Certificates: []tls.Certificate{cert}}
	c, err := nats.Connect(s.URL(), append([]nats.Option{nats.Secure(config), nats.TLSHandshakeFirst(), nats.NoReconnect(), nats.Timeout(patience)}, more...)...)
	if err == nil {
		t.Cleanup(c.Close)
	}
	return c, err
}

// TestGuestUsesItsOwnSubjectsOnly is threats T8: what is refused is told by the
// server, and a subscription of the controller to everything hears nothing of it.
func TestGuestUsesItsOwnSubjectsOnly(t *testing.T) {
	a := newAuthority(t)
	s := guarded(t, a, Config{}, ownSubjects)
	b := open(t, s, true) // results queue on r.*
	defer b.Close()
	violations := make(chan error, 100)
	guest, err := dial(t, s, a, a.issue("syd"), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { violations <- err }))
	if err != nil {
		t.Fatal(err)
	}
	controller, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	defer controller.Close()
	var heard atomic.Int32
	if _, err := controller.Subscribe(">", func(m *nats.Msg) {
		if string(m.Data) == "evil" {
			heard.Add(1)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := controller.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{"a.mel.hello", "a.mel.part", "a.syd", "a", "a.sydney.hello", "a.SYD.hello", "c.syd.order", "c.mel.order", "r.syd",
		"$JS.API.STREAM.DELETE.NETP_RESULTS", "$JS.API.INFO", "$KV.NETP_PRESENCE.syd", "$SYS.REQ.SERVER.PING", "_INBOX.x", "$JS.ACK.NETP_RESULTS.controller.1.1.1.1.1"} {
		if err := guest.Publish(subject, []byte("evil")); err != nil {
			t.Fatal(err)
		}
		if err := guest.Flush(); err != nil {
			t.Fatal(err)
		}
		expectViolation(t, "publish "+subject, violations)
	}
	for _, subject := range []string{">", "*", "c.>", "c.*.order", "c.mel.>", "a.syd.>", "_INBOX.>", "$SYS.>", "$JS.>", "$KV.>", "r.>"} {
		if _, err := guest.Subscribe(subject, func(*nats.Msg) {}); err != nil {
			t.Fatal(err)
		}
		if err := guest.Flush(); err != nil {
			t.Fatal(err)
		}
		expectViolation(t, "subscribe "+subject, violations)
	}
	if n := heard.Load(); n != 0 {
		t.Errorf("%d messages arrived that the guest may not send", n)
	}
}

func expectViolation(t *testing.T, what string, violations <-chan error) {
	t.Helper()
	select {
	case err := <-violations:
		if !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("%s: %v, want a permissions violation", what, err)
		}
	case <-time.After(patience):
		t.Errorf("%s: not refused", what)
	}
}

// TestQueueAnswersNobody keeps a guest from using the queue as its deputy: the
// acknowledgement of a message would be published to the reply subject its sender chose.
func TestQueueAnswersNobody(t *testing.T) {
	a := newAuthority(t)
	s := guarded(t, a, Config{}, func(name string) (Guest, error) {
		return Guest{Name: name, Publish: "r.syd", Subscribe: "c.syd.>"}, nil
	})
	b := open(t, s, true)
	defer b.Close()
	guest, err := dial(t, s, a, a.issue("syd"))
	if err != nil {
		t.Fatal(err)
	}
	controller, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	defer controller.Close()
	victim, err := controller.SubscribeSync("c.mel.order")
	if err != nil {
		t.Fatal(err)
	}
	if err := controller.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, reply := range []string{"c.mel.order", "$JS.API.STREAM.PURGE." + resultsStream} {
		if err := guest.PublishRequest("r.syd", reply, []byte("part")); err != nil {
			t.Fatal(err)
		}
	}
	if err := guest.Publish("r.syd", []byte("last")); err != nil {
		t.Fatal(err)
	}
	awaitQueued(t, controller, 3)
	if err := controller.Flush(); err != nil {
		t.Fatal(err)
	}
	if n, _, err := victim.Pending(); err != nil || n != 0 {
		t.Errorf("another agent's subject got %d messages (%v)", n, err)
	}
}

func TestOneConnectionPerGuest(t *testing.T) {
	a := newAuthority(t)
	s := guarded(t, a, Config{}, ownSubjects)
	cert := a.issue("syd")
	first, err := dial(t, s, a, cert)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dial(t, s, a, cert); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("the second connection: %v, want a refusal", err)
	}
	if err := first.Flush(); err != nil {
		t.Errorf("the first connection suffered: %v", err)
	}
	first.Close()
	again(t, func() error { _, err := dial(t, s, a, cert); return err })
}

// again tries until it works; the server hears of a closed connection a moment later.
func again(t *testing.T, try func() error) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestExpelledIsOutAtOnceAndStaysOut(t *testing.T) {
	a := newAuthority(t)
	var revoked atomic.Bool
	s := guarded(t, a, Config{}, func(name string) (Guest, error) {
		if name == "syd" && revoked.Load() {
			return Guest{Name: name}, errors.New("revoked")
		}
		return ownSubjects(name)
	})
	closed := make(chan struct{})
	cert := a.issue("syd")
	if _, err := dial(t, s, a, cert, nats.ClosedHandler(func(*nats.Conn) { close(closed) })); err != nil {
		t.Fatal(err)
	}
	other, err := dial(t, s, a, a.issue("mel"))
	if err != nil {
		t.Fatal(err)
	}
	revoked.Store(true)
	s.Expel("syd")
	select {
	case <-closed:
	case <-time.After(patience):
		t.Fatal("the expelled connection lives on")
	}
	if _, err := dial(t, s, a, cert); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("the expelled came back: %v", err)
	}
	if err := other.Flush(); err != nil {
		t.Errorf("another guest suffered: %v", err)
	}
}

func TestConnectionEndsWithItsCertificate(t *testing.T) {
	a := newAuthority(t)
	s := guarded(t, a, Config{}, func(name string) (Guest, error) {
		g, err := ownSubjects(name)
		g.Until = time.Now().Add(2 * time.Second)
		return g, err
	})
	var closed chan struct{}
	cert := a.issue("syd")
	again(t, func() error { // the certificate may end during the dial
		ended := make(chan struct{})
		closed = ended
		_, err := dial(t, s, a, cert, nats.ClosedHandler(func(*nats.Conn) { close(ended) }))
		return err
	})
	select {
	case <-closed:
	case <-time.After(patience):
		t.Error("the connection outlives its certificate")
	}
}

func TestStrangersAreRefused(t *testing.T) {
	a, foreign := newAuthority(t), newAuthority(t)
	s := guarded(t, a, Config{}, ownSubjects)
	if _, err := dial(t, s, a, foreign.issue("syd")); err == nil {
		t.Error("a foreign certificate was let in")
	}
	if _, err := nats.Connect(s.URL(), nats.Secure(&tls.Config{RootCAs: a.pool(), ServerName: "bus"}), nats.TLSHandshakeFirst(), nats.NoReconnect()); err == nil {
		t.Error("a connection without certificate was let in")
	}
	plain, err := net.Dial("tcp", s.nats.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if err := plain.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := plain.Write([]byte("CONNECT {\"verbose\":false}\r\nSUB > 1\r\n")); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 4)
	if n, _ := plain.Read(answer); n >= 4 && string(answer) == "INFO" {
		t.Error("the server speaks before TLS")
	}
}

// TestStrangersLeaveDescriptors is threats T23: connections that show nothing are bounded, disturb nobody who is in, and end by themselves.
func TestStrangersLeaveDescriptors(t *testing.T) {
	const most = 32
	a := newAuthority(t)
	s := guarded(t, a, Config{MaxConnections: most}, ownSubjects)
	inside, err := dial(t, s, a, a.issue("mel"))
	if err != nil {
		t.Fatal(err)
	}
	var strangers []net.Conn
	for range 4 * most {
		c, err := net.Dial("tcp", s.nats.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		strangers = append(strangers, c)
	}
	if err := inside.FlushTimeout(patience); err != nil {
		t.Errorf("who was in: %v", err)
	}
	for _, c := range strangers {
		if n := s.nats.NumClients(); n > most {
			t.Fatalf("%d connections, at most %d may be", n, most)
		}
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("a connection that shows nothing stays")
		}
	}
	again(t, func() error {
		_, err := dial(t, s, a, a.issue("syd"))
		return err
	})
}
