package enrol

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/netpupper/netp/agent/wire"
)

// A clock that was ahead for a while has made certificates for later: they keep nobody away when it is right again.
func TestClockWasAhead(t *testing.T) {
	d := open(t, t.TempDir())
	right := d.now
	d.now = right.Add(48 * time.Hour)
	_, cert := d.enrol("syd")
	ahead, err := d.serverCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	d.now = right
	m, err := d.Renew(cert)
	if err != nil {
		t.Fatalf("a certificate for later is not renewed: %v", err)
	}
	if _, err := d.Admit(certificate(t, m)); err != nil {
		t.Error(err)
	}
	now, err := d.serverCertificate(nil)
	if err != nil || !now.Leaf.NotBefore.Before(right) {
		t.Errorf("the controller shows a certificate from %v on, %v; it is %v", now.Leaf.NotBefore, err, right)
	}
	if again, err := d.serverCertificate(nil); err != nil || again != now || again == ahead {
		t.Errorf("it is made anew each time, %v", err)
	}
}

// Who is up to a day behind takes the controller's certificate from the first moment.
func TestClockBehind(t *testing.T) {
	d := open(t, t.TempDir())
	server, err := d.serverCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = server.Leaf.Verify(x509.VerifyOptions{Roots: d.roots(), DNSName: wire.ControllerName, CurrentTime: d.now.Add(-23 * time.Hour)})
	if err != nil {
		t.Error(err)
	}
}

// Who is further away, and a controller whose authority a wrong clock has made, tell which clocks to compare.
func TestClocksDiffer(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	right := d.now
	for name, off := range map[string]time.Duration{"ahead": 72 * time.Hour, "behind": -100 * 24 * time.Hour} {
		d.now, d.server = right.Add(off), nil
		d.clockFault(name, right, d.now.Add(-serverBackdate))
	}
	ahead := &desk{t: t, dir: t.TempDir(), now: right.Add(72 * time.Hour)}
	o := Options{Dir: ahead.dir, Bus: []string{"b:4222"}, Controllers: []string{"192.0.2.1:8640"}, Now: func() time.Time { return ahead.now }}
	if _, err := Open(o); err != nil {
		t.Fatal(err)
	}
	ahead.now = right
	var log bytes.Buffer
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	var err error
	if ahead.Authority, err = Open(o); err != nil {
		t.Fatal(err)
	}
	ahead.clockFault("authority", right, right.Add(72*time.Hour-serverBackdate))
	if text := log.String(); !strings.Contains(text, "set this host's clock") || !strings.Contains(text, "remove ca.pem, ") {
		t.Errorf("the controller logs %q", text)
	}
}

// clockFault wants the error of a connection to tell a certificate's beginning and the time here.
func (d *desk) clockFault(name string, here, from time.Time) {
	d.t.Helper()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Listener = tls.NewListener(server.Listener, d.HTTPTLS())
	server.Start()
	defer server.Close()
	_, err := tls.Dial("tcp", server.Listener.Addr().String(), wire.PinnedTLS(d.Pin()))
	if !errors.Is(err, wire.ErrClock) || !strings.Contains(err.Error(), "good from "+from.UTC().Format(time.RFC3339)) || !strings.Contains(err.Error(), here.UTC().Format("2006-01-02")) {
		d.t.Errorf("%s: %v; want both times", name, err)
	}
}
