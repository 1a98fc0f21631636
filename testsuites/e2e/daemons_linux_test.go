package e2e

import (
	"testing"
)

// TestDaemonsInNamespaces runs controller and agents on two hosts, as far as the
// kernel is concerned: each in a network namespace of its own, over IPv4 and IPv6.
func TestDaemonsInNamespaces(t *testing.T) {
	left, right := namespaces(t)
	ip(t, "-n "+left+" link set lo up") // a host reaches its own addresses by it
	binary := buildNetp(t)
	for _, c := range []struct{ name, controller, sydney, melbourne string }{
		{"ipv4", "198.51.100.1", "198.51.100.1", "198.51.100.2"},
		{"ipv6", "[2001:db8::1]", "[2001:db8::1]", "[2001:db8::2]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &deployment{t: t, binary: binary, dir: t.TempDir(), http: c.controller + ":8640", bus: c.controller + ":4222",
				inside: []string{"ip", "netns", "exec", left}}
			d.startController()
			d.start(d.inside, "agent", "-join", tokenIn(t, d.controller.awaitOutput("netp agent -join ")), "-data", d.path("syd"), "-name", "syd", "-listen", c.sydney+":8620")
			mel := d.start([]string{"ip", "netns", "exec", right}, "agent", "-join", d.token(), "-data", d.path("mel"), "-name", "mel", "-listen", c.melbourne+":8620")
			d.await("syd", "ready")
			d.await("mel", "ready")
			if _, a := d.state("mel"); a.Address != c.melbourne+":8620" {
				t.Errorf("mel announces %q", a.Address)
			}
			d.controller.kill()
			d.startController()
			d.await("syd", "ready")
			d.await("mel", "ready")
			d.must("agents", "revoke", "mel")
			if code := mel.exit(); code != 1 {
				t.Errorf("the revoked agent exits with %d", code)
			}
			d.await("mel", "")
		})
	}
}
