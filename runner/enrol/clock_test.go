package enrol

import (
	"crypto/x509"
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
