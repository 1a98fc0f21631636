package e2e

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/join"
	"github.com/netpupper/netp/durable"
	"github.com/netpupper/netp/runner/enrol"
)

// reception is a controller as far as joining goes.
func reception(t *testing.T, life time.Duration) (*enrol.Authority, string) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	authority, err := enrol.Open(enrol.Options{Dir: t.TempDir(), Lifetime: life,
		Bus: []string{"192.0.2.1:4222"}, Controllers: []string{"127.0.0.1:1", server.Listener.Addr().String()}}) // the first one is dead
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	enrol.API{Authority: authority, Present: func() []enrol.Presence { return nil }, Expel: func(netp.AgentID) {}}.Register(mux)
	server.Config.Handler, server.TLS = mux, authority.HTTPTLS()
	server.StartTLS()
	t.Cleanup(server.Close)
	token, err := authority.Token(enrol.TokenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return authority, token.String()
}

func shown(t *testing.T, m *join.Member) (serial string, ends time.Time) {
	t.Helper()
	c, err := m.TLS().GetClientCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf.SerialNumber.String(), c.Leaf.NotAfter
}

func TestMembership(t *testing.T) {
	authority, token := reception(t, time.Hour)
	dir := filepath.Join(t.TempDir(), "agent")
	if _, err := join.Load(dir); !errors.Is(err, join.ErrNotJoined) {
		t.Errorf("before: %v, want ErrNotJoined", err)
	}
	if _, err := join.Join(t.Context(), dir, token, "syd"); err != nil {
		t.Fatal(err)
	}
	// The answer is lost: the agent has its key and asks again.
	if err := os.Remove(filepath.Join(dir, "agent.json")); err != nil {
		t.Fatal(err)
	}
	m, err := join.Join(t.Context(), dir, token, "syd")
	if err != nil {
		t.Fatalf("the second try with the same key: %v", err)
	}
	var refused *join.Refused
	if _, err := join.Join(t.Context(), t.TempDir(), token, "mel"); !errors.As(err, &refused) {
		t.Errorf("another key: %v, want a refusal", err)
	}

	before, _ := shown(t, m)
	if err := m.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, _ := shown(t, m)
	loaded, err := join.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if kept, _ := shown(t, loaded); after == before || kept != after || loaded.Name() != "syd" || !loaded.OrderKey().Equal(authority.OrderKey().Public()) {
		t.Errorf("renewed %s to %s, the directory holds %s", before, after, kept)
	}

	if err := authority.Revoke("syd"); err != nil {
		t.Fatal(err)
	}
	m.Doubt()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := m.Keep(ctx, slog.New(slog.DiscardHandler)); !errors.As(err, &refused) {
		t.Errorf("Keep of a revoked agent: %v, want a refusal", err)
	}
}

// TestCertificateIsRenewedWhenDue: a certificate whose time has come, or gone, is
// replaced without anybody asking.
func TestCertificateIsRenewedWhenDue(t *testing.T) {
	_, token := reception(t, time.Second) // due at once: it is dated back by an hour
	m, err := join.Join(t.Context(), t.TempDir(), token, "syd")
	if err != nil {
		t.Fatal(err)
	}
	first, ends := shown(t, m)
	eventually(t, "the certificate has ended", func() bool { return time.Now().After(ends) })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	kept := make(chan error, 1)
	go func() { kept <- m.Keep(ctx, slog.New(slog.DiscardHandler)) }()
	eventually(t, "a renewal", func() bool {
		serial, _ := shown(t, m)
		return serial != first
	})
	cancel()
	if err := <-kept; err != nil {
		t.Error(err)
	}
}

func TestDamagedMembershipIsRefused(t *testing.T) {
	_, token := reception(t, time.Hour)
	_, other := reception(t, time.Hour)
	mine, foreign := t.TempDir(), t.TempDir()
	for dir, word := range map[string]string{mine: token, foreign: other} {
		if _, err := join.Join(t.Context(), dir, word, "syd"); err != nil {
			t.Fatal(err)
		}
	}
	swap := func(name string) error {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(mine)); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(foreign, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := durable.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = join.Load(dir)
		return err
	}
	for _, name := range []string{"agent.key", "agent.json"} {
		if err := swap(name); err == nil {
			t.Errorf("%s of another agent was taken", name)
		}
	}
	for _, name := range []string{"agent.key", "agent.json"} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(mine)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte("{torn"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := join.Load(dir); err == nil || errors.Is(err, join.ErrNotJoined) {
			t.Errorf("torn %s: %v, want an error", name, err)
		}
	}
}
