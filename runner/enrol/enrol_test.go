package enrol

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/wire"
)

// desk is an authority with a clock of its own.
type desk struct {
	*Authority
	t   *testing.T
	dir string
	now time.Time
}

func open(t *testing.T, dir string) *desk {
	t.Helper()
	d := &desk{t: t, dir: dir, now: time.Now().UTC().Truncate(time.Second)}
	a, err := Open(Options{Dir: dir, Bus: []string{"b:4222"}, Controllers: []string{"192.0.2.1:8640", "netp.example.net:8640"}, Now: func() time.Time { return d.now }})
	if err != nil {
		t.Fatal(err)
	}
	d.Authority = a
	return d
}

func (d *desk) secret(r TokenRequest) []byte {
	d.t.Helper()
	token, err := d.Token(r)
	if err != nil {
		d.t.Fatal(err)
	}
	return token.Secret
}

// applicant is an agent with a key.
type applicant struct {
	key     ed25519.PrivateKey
	request []byte
}

func newApplicant(t *testing.T) applicant {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return applicant{key, request}
}

func (a applicant) asks(name netp.AgentID, secret []byte) wire.Enrolment {
	return wire.Enrolment{Name: name, Secret: secret, Request: a.request}
}

func certificate(t *testing.T, m wire.Membership) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(m.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (d *desk) enrol(name netp.AgentID) (applicant, *x509.Certificate) {
	d.t.Helper()
	a := newApplicant(d.t)
	m, err := d.Enrol(a.asks(name, d.secret(TokenRequest{})))
	if err != nil {
		d.t.Fatal(err)
	}
	return a, certificate(d.t, m)
}

// roleOf is the role of who shows a word, "" for nobody.
func roleOf(d *desk, word string) Role {
	role, ok := d.Authorise(word)
	if !ok {
		return ""
	}
	return role
}

func expectRefusal(t *testing.T, what string, err error, why reason, words string) {
	t.Helper()
	if reasonOf(err) != why || !strings.Contains(err.Error(), words) {
		t.Errorf("%s: %v, want a refusal that says %q", what, err, words)
	}
}

func TestTokensLetInOnce(t *testing.T) {
	d := open(t, t.TempDir())
	first := newApplicant(t)
	secret := d.secret(TokenRequest{})
	m, err := d.Enrol(first.asks("syd", secret))
	if err != nil {
		t.Fatal(err)
	}
	cert := certificate(t, m)
	if id, err := d.Admit(cert); id != "syd" || err != nil {
		t.Errorf("Admit = %q, %v", id, err)
	}
	if life := cert.NotAfter.Sub(d.now); life != 24*time.Hour || !cert.NotBefore.Before(d.now) {
		t.Errorf("the certificate is good for %v", life)
	}
	if _, err := d.Enrol(first.asks("syd", secret)); err != nil {
		t.Errorf("the same key, whose answer was lost: %v", err)
	}
	_, err = d.Enrol(newApplicant(t).asks("mel", secret))
	expectRefusal(t, "used", err, forbidden, "has been used")

	unknown := bytes.Clone(secret)
	unknown[0] ^= 1
	_, err = d.Enrol(newApplicant(t).asks("mel", unknown))
	expectRefusal(t, "one bit off", err, forbidden, "knows no such")
	_, err = d.Enrol(newApplicant(t).asks("mel", nil))
	expectRefusal(t, "no secret", err, forbidden, "knows no such")
	_, err = d.Enrol(newApplicant(t).asks("mel", open(t, t.TempDir()).secret(TokenRequest{})))
	expectRefusal(t, "foreign", err, forbidden, "knows no such")

	bound := d.secret(TokenRequest{Name: "bne"})
	_, err = d.Enrol(newApplicant(t).asks("mel", bound))
	expectRefusal(t, "other name", err, forbidden, "for another agent's name")
	if _, err := d.Enrol(newApplicant(t).asks("bne", bound)); err != nil {
		t.Errorf("its own name, after a wrong one was refused: %v", err)
	}

	late := d.secret(TokenRequest{})
	d.now = d.now.Add(TokenLife + time.Second)
	_, err = d.Enrol(newApplicant(t).asks("mel", late))
	expectRefusal(t, "expired", err, forbidden, "expired at "+d.now.Add(-time.Second).Format(time.RFC3339))
	d.now = d.now.Add(keptAfter)
	d.secret(TokenRequest{})
	_, err = d.Enrol(newApplicant(t).asks("mel", late))
	expectRefusal(t, "long expired", err, forbidden, "knows no such")
}

func TestEnrolRefuses(t *testing.T) {
	d := open(t, t.TempDir())
	d.enrol("syd")
	secret := d.secret(TokenRequest{})
	_, err := d.Enrol(newApplicant(t).asks("syd", secret))
	expectRefusal(t, "taken name", err, conflict, "belongs to this controller already")
	for _, name := range []netp.AgentID{"", "a.", "-a", "a b", "a*", "a>", "é", netp.AgentID(strings.Repeat("a", 64))} {
		_, err := d.Enrol(newApplicant(t).asks(name, secret))
		expectRefusal(t, fmt.Sprintf("name %q", name), err, badRequest, "no name for an agent")
	}
	torn := newApplicant(t)
	torn.request = torn.request[:len(torn.request)-1]
	_, err = d.Enrol(torn.asks("mel", secret))
	expectRefusal(t, "torn request", err, badRequest, "cannot be read")
	forged := newApplicant(t)
	forged.request[len(forged.request)-1] ^= 1
	_, err = d.Enrol(forged.asks("mel", secret))
	expectRefusal(t, "a key that the sender does not have", err, badRequest, "cannot be read")
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, weak)
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Enrol(applicant{request: request}.asks("mel", secret))
	expectRefusal(t, "RSA", err, badRequest, "Ed25519")
	if _, err := d.Enrol(newApplicant(t).asks("mel", secret)); err != nil {
		t.Errorf("none of these refusals uses the token up: %v", err)
	}
}

// TestRaceForAToken is threats T7: however many agents race with one token, exactly
// one wins.
func TestRaceForAToken(t *testing.T) {
	d := open(t, t.TempDir())
	for round := range 20 {
		secret := d.secret(TokenRequest{})
		const racers = 8
		errs := make([]error, racers)
		var group sync.WaitGroup
		start := make(chan struct{})
		for i := range racers {
			a := newApplicant(t)
			group.Go(func() {
				<-start
				_, errs[i] = d.Enrol(a.asks(netp.AgentID(fmt.Sprintf("a-%d-%d", round, i)), secret))
			})
		}
		close(start)
		group.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else {
				expectRefusal(t, "loser", err, forbidden, "has been used")
			}
		}
		if won != 1 || len(d.Members()) != round+1 {
			t.Fatalf("round %d: %d winners, %d members", round, won, len(d.Members()))
		}
	}
}

func TestRevokedStaysOut(t *testing.T) {
	d := open(t, t.TempDir())
	secret := d.secret(TokenRequest{})
	a := newApplicant(t)
	m, err := d.Enrol(a.asks("syd", secret))
	if err != nil {
		t.Fatal(err)
	}
	cert := certificate(t, m)
	_, mel := d.enrol("mel")
	if err := d.Revoke("syd"); err != nil {
		t.Fatal(err)
	}
	expectRefusal(t, "revoke twice", d.Revoke("syd"), unknown, "No agent")
	check := func(when string) {
		_, err := d.Admit(cert)
		expectRefusal(t, when+": bus", err, forbidden, "was revoked")
		_, err = d.Renew(cert)
		expectRefusal(t, when+": renewal", err, forbidden, "was revoked")
		_, err = d.Enrol(a.asks("syd", secret))
		expectRefusal(t, when+": its old token", err, forbidden, "revoked")
		_, err = d.Enrol(a.asks("syd", d.secret(TokenRequest{})))
		expectRefusal(t, when+": a new token with the old key", err, forbidden, "revoked")
		if _, err := d.Admit(mel); err != nil {
			t.Errorf("%s: another agent suffers: %v", when, err)
		}
	}
	check("now")
	d = open(t, d.dir)
	check("after a restart")
	_, again := d.enrol("syd")
	if _, err := d.Admit(again); err != nil {
		t.Errorf("the name with a new key and a new token: %v", err)
	}
	check("with the name in use again")
}

func TestAdmitRefuses(t *testing.T) {
	d, other := open(t, t.TempDir()), open(t, t.TempDir())
	_, good := d.enrol("syd")
	_, foreign := other.enrol("syd")
	_, err := d.Admit(foreign)
	expectRefusal(t, "foreign", err, forbidden, "not good here")
	_, err = d.Admit(d.ca)
	expectRefusal(t, "the authority's own", err, forbidden, "names no agent")
	server, err := d.serverCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Admit(server.Leaf)
	expectRefusal(t, "the controller's own", err, forbidden, "not good here")
	d.now = good.NotAfter.Add(time.Second)
	_, err = d.Admit(good)
	expectRefusal(t, "ended", err, forbidden, "not good here")
}

func TestRenewal(t *testing.T) {
	d := open(t, t.TempDir())
	_, cert := d.enrol("syd")
	d.now = d.now.Add(16 * time.Hour)
	m, err := d.Renew(cert)
	if err != nil {
		t.Fatal(err)
	}
	next := certificate(t, m)
	if !next.NotAfter.Equal(d.now.Add(24*time.Hour)) || next.SerialNumber.Cmp(cert.SerialNumber) == 0 || keyOf(next) != keyOf(cert) {
		t.Errorf("renewed until %v with serial %v", next.NotAfter, next.SerialNumber)
	}
	if _, err := d.Admit(cert); err != nil {
		t.Errorf("the one before is good to its end: %v", err)
	}
	d.now = next.NotAfter.Add(29 * 24 * time.Hour)
	if _, err := d.Renew(next); err != nil {
		t.Errorf("away for 29 days: %v", err)
	}
	d.now = next.NotAfter.Add(31 * 24 * time.Hour)
	_, err = d.Renew(next)
	expectRefusal(t, "away for 31 days", err, forbidden, "more than 30 days")
}

func TestRestartKeepsEverything(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	_, cert := d.enrol("syd")
	secret := d.secret(TokenRequest{})
	admin, err := os.ReadFile(d.AdminTokenFile())
	if err != nil {
		t.Fatal(err)
	}
	epoch, err := d.NextEpoch()
	if err != nil {
		t.Fatal(err)
	}
	again := open(t, dir)
	if again.Pin() != d.Pin() || !again.OrderKey().Equal(d.OrderKey()) || roleOf(again, string(admin)) != Admin {
		t.Error("keys or admin token changed")
	}
	if _, err := again.Admit(cert); err != nil {
		t.Errorf("a member is forgotten: %v", err)
	}
	if _, err := again.Enrol(newApplicant(t).asks("mel", secret)); err != nil {
		t.Errorf("a token is forgotten: %v", err)
	}
	if next, err := again.NextEpoch(); err != nil || next <= epoch {
		t.Errorf("epoch %d does not follow %d, %v", next, epoch, err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 5 {
		t.Errorf("files %v, %v", files, err)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
			t.Errorf("%s: %v, others can read it", f, err)
		}
		text, err := os.ReadFile(f)
		if err != nil || bytes.Contains(text, secret) || strings.Contains(string(text), wire.JoinToken{Controllers: d.cfg.Controllers, Pin: d.Pin(), Secret: secret}.String()) {
			t.Errorf("%s holds a token's secret (%v)", f, err)
		}
	}
}

// What the error about a lost key says to do is enough to start again.
func TestLostKey(t *testing.T) {
	for _, name := range []string{caKeyFile, orderKeyFile} {
		dir := t.TempDir()
		open(t, dir).secret(TokenRequest{})
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		_, err := Open(Options{Dir: dir})
		if err == nil {
			t.Fatalf("%s lost: no error", name)
		}
		for _, file := range []string{caFile, caKeyFile, orderKeyFile, stateFile, adminFile} {
			if !strings.Contains(err.Error(), file) {
				t.Errorf("%s lost: %v does not name %s", name, err, file)
			}
			if err := os.Remove(filepath.Join(dir, file)); err != nil && file != name {
				t.Fatal(err)
			}
		}
		if _, err := Open(Options{Dir: dir}); err != nil {
			t.Errorf("after that: %v", err)
		}
	}
}

func TestDamagedDirectoryIsRefused(t *testing.T) {
	for _, name := range []string{stateFile, caFile, caKeyFile, orderKeyFile, adminFile} {
		dir := t.TempDir()
		d := open(t, dir)
		d.secret(TokenRequest{})
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("{torn"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s damaged: %v, want an error that names it", name, err)
		}
	}
	mixed, other := open(t, t.TempDir()), open(t, t.TempDir())
	text, err := os.ReadFile(filepath.Join(other.dir, caKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(mixed.dir, caKeyFile), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: mixed.dir}); err == nil {
		t.Error("the key of another authority was taken")
	}
}

func TestAPI(t *testing.T) {
	d := open(t, t.TempDir())
	expelled := make(chan netp.AgentID, 1)
	mux := http.NewServeMux()
	API{Authority: d.Authority, Expel: func(id netp.AgentID) { expelled <- id },
		Present: func() []Presence {
			return []Presence{{Agent: netp.Agent{Name: "syd", Version: "1"}, Running: 2, Seen: d.now}, {Agent: netp.Agent{Name: "gone"}},
				{Agent: netp.Agent{Name: "bne", Version: "2"}, Away: true, Running: 3, Seen: d.now}}
		}}.Register(mux)
	server := httptest.NewUnstartedServer(mux)
	server.TLS = d.HTTPTLS()
	server.StartTLS()
	defer server.Close()
	admin, err := os.ReadFile(d.AdminTokenFile())
	if err != nil {
		t.Fatal(err)
	}
	token, err := wire.ParseAccessToken(string(admin))
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: wire.PinnedTLS(token.Pin)}}
	call := func(method, path, bearer string, body io.Reader, into any) int {
		t.Helper()
		r, err := http.NewRequest(method, server.URL+path, body)
		if err != nil {
			t.Fatal(err)
		}
		if bearer != "" {
			r.Header.Set("Authorization", "Bearer "+bearer)
		}
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if into != nil {
			if err := json.NewDecoder(response.Body).Decode(into); err != nil {
				t.Fatal(err)
			}
		}
		return response.StatusCode
	}
	wrong := token
	wrong.Secret = bytes.Repeat([]byte{1}, wire.SecretSize)
	for _, word := range []string{"", "x", wrong.String(), token.String()[:80], token.String() + "a"} {
		for path, method := range map[string]string{"/api/v1/agents": "GET", "/api/v1/tokens": "POST", "/api/v1/agents/syd/revoke": "POST"} {
			if status := call(method, path, word, nil, nil); status != http.StatusUnauthorized {
				t.Errorf("%s with token %q: %d", path, word, status)
			}
		}
	}
	var made TokenAnswer
	if status := call("POST", "/api/v1/tokens", token.String(), nil, &made); status != http.StatusOK {
		t.Fatalf("make a token: %d", status)
	}
	join, err := wire.ParseJoinToken(made.Token)
	if err != nil || join.Pin != d.Pin() || len(join.Controllers) != 2 {
		t.Fatalf("token %+v, %v", join, err)
	}
	body, err := json.Marshal(newApplicant(t).asks("syd", join.Secret))
	if err != nil {
		t.Fatal(err)
	}
	var no wire.Refusal
	if status := call("POST", wire.EnrolPath, "", strings.NewReader("{"), &no); status != http.StatusBadRequest || no.Code != "bad_request" || no.Detail == "" {
		t.Errorf("torn JSON: %d %+v", status, no)
	}
	if status := call("PUT", "/api/v1/access", token.String(), nil, &no); status != http.StatusMethodNotAllowed || no.Code != "method_not_allowed" || no.Detail != "/api/v1/access takes GET and POST, not PUT." {
		t.Errorf("a wrong method: %d %+v", status, no)
	}
	if status := call("POST", "/api/v1/agents/nobody/drain", token.String(), nil, &no); status != http.StatusNotFound || no.Code != "not_found" || !strings.HasSuffix(no.Detail, ".") {
		t.Errorf("an agent that is not there: %d %+v", status, no)
	}
	if status := call("POST", wire.EnrolPath, "", strings.NewReader(`{"name":"`+strings.Repeat("a", wire.MaxEnrolment)+`"}`), &no); status != http.StatusRequestEntityTooLarge {
		t.Errorf("large body: %d", status)
	}
	if status := call("POST", wire.EnrolPath, "", bytes.NewReader(body), nil); status != http.StatusOK {
		t.Errorf("enrol: %d", status)
	}
	other, err := json.Marshal(newApplicant(t).asks("mel", join.Secret))
	if err != nil {
		t.Fatal(err)
	}
	if status := call("POST", wire.EnrolPath, "", bytes.NewReader(other), &no); status != http.StatusForbidden || !strings.Contains(no.Detail, "used") {
		t.Errorf("used token: %d %q", status, no.Detail)
	}
	if status := call("POST", wire.RenewPath, "", nil, &no); status != http.StatusForbidden {
		t.Errorf("renewal without certificate: %d", status)
	}
	d.enrol("bne")
	var list struct{ Agents []Listed }
	if status := call("GET", "/api/v1/agents", token.String(), nil, &list); status != http.StatusOK || len(list.Agents) != 2 {
		t.Fatalf("list: %d, %+v", status, list)
	}
	if bne, syd := list.Agents[0], list.Agents[1]; bne.State != "away" || bne.Version != "2" || bne.Running != 0 || !bne.LastSeen.Equal(d.now) || syd.State != "ready" || syd.Running != 2 || syd.Version != "1" {
		t.Errorf("list: %+v", list)
	}
	if status := call("POST", "/api/v1/agents/nobody/revoke", token.String(), nil, &no); status != http.StatusNotFound {
		t.Errorf("revoke nobody: %d", status)
	}
	<-expelled
	if status := call("POST", "/api/v1/agents/syd/revoke", token.String(), nil, nil); status != http.StatusOK || <-expelled != "syd" {
		t.Errorf("revoke: %d", status)
	}
}

func TestPinnedTLSTrustsOneControllerOnly(t *testing.T) {
	d, other := open(t, t.TempDir()), open(t, t.TempDir())
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = d.HTTPTLS()
	server.StartTLS()
	defer server.Close()
	address := server.Listener.Addr().String()
	if c, err := tls.Dial("tcp", address, wire.PinnedTLS(d.Pin())); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
	if _, err := tls.Dial("tcp", address, wire.PinnedTLS(other.Pin())); !errors.Is(err, wire.ErrPin) {
		t.Errorf("another controller: %v, want ErrPin", err)
	}
	// A chain that shows the right authority, but whose end is somebody else's.
	stolen, err := other.serverCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	mixed := *stolen
	mixed.Certificate = [][]byte{stolen.Certificate[0], d.ca.Raw}
	impostor := httptest.NewUnstartedServer(http.NotFoundHandler())
	impostor.TLS = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{mixed}}
	impostor.StartTLS()
	defer impostor.Close()
	if _, err := tls.Dial("tcp", impostor.Listener.Addr().String(), wire.PinnedTLS(d.Pin())); err == nil {
		t.Error("an impostor with the authority's certificate was believed")
	}
	// An agent of the same authority is no controller.
	a, cert := d.enrol("syd")
	agent := httptest.NewUnstartedServer(http.NotFoundHandler())
	agent.TLS = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw, d.ca.Raw}, PrivateKey: a.key}}}
	agent.StartTLS()
	defer agent.Close()
	if _, err := tls.Dial("tcp", agent.Listener.Addr().String(), wire.PinnedTLS(d.Pin())); err == nil {
		t.Error("an agent was believed to be the controller")
	}
}

func TestTokenWords(t *testing.T) {
	d := open(t, t.TempDir())
	join, err := d.Token(TokenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	word := join.String()
	got, err := wire.ParseJoinToken(" " + word + "\n")
	if err != nil || !bytes.Equal(got.Secret, join.Secret) || got.Pin != join.Pin {
		t.Errorf("round trip: %+v, %v", got, err)
	}
	for n := range len(word) {
		if _, err := wire.ParseJoinToken(word[:n]); err == nil {
			t.Errorf("a token cut to %d of %d characters was taken", n, len(word))
		}
	}
	_, err = d.Token(TokenRequest{Life: MaxTokenLife + 1})
	expectRefusal(t, "too long a life", err, badRequest, "at most 7 days")
	for _, r := range []TokenRequest{{Name: "a b"}, {Life: -1}} {
		if _, err := d.Token(r); reasonOf(err) != badRequest {
			t.Errorf("%+v: %v, want a refusal", r, err)
		}
	}
	admin := wire.AccessToken{Pin: d.Pin(), Secret: join.Secret}.String()
	if got, err := wire.ParseAccessToken(admin); err != nil || got.Pin != d.Pin() || !bytes.Equal(got.Secret, join.Secret) {
		t.Errorf("admin round trip: %v", err)
	}
	for n := range len(admin) {
		if _, err := wire.ParseAccessToken(admin[:n]); err == nil {
			t.Errorf("an admin token cut to %d characters was taken", n)
		}
	}
}
