package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent"
	"github.com/netpupper/netp/agent/port"
)

// ip runs the ip command.
func ip(t *testing.T, args string) {
	t.Helper()
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", args, err, out)
	}
}

// namespaces makes two network namespaces that a cable of two addresses joins.
func namespaces(t *testing.T) (left, right string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make network namespaces")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs the ip command (iproute2)")
	}
	left, right = fmt.Sprintf("netp-e2e-l%d", os.Getpid()), fmt.Sprintf("netp-e2e-r%d", os.Getpid())
	for _, ns := range []string{left, right} {
		if out, err := exec.Command("ip", "netns", "add", ns).CombinedOutput(); err != nil {
			t.Skipf("needs the right to make network namespaces: %s", out)
		}
		t.Cleanup(func() { ip(t, "netns del "+ns) })
	}
	ip(t, fmt.Sprintf("link add netpe2e0 netns %s type veth peer name netpe2e1 netns %s", left, right))
	for i, ns := range []string{left, right} {
		device := fmt.Sprintf("netpe2e%d", i)
		ip(t, fmt.Sprintf("-n %s addr add 198.51.100.%d/24 dev %s", ns, i+1, device))
		ip(t, fmt.Sprintf("-n %s addr add 2001:db8::%d/64 dev %s nodad", ns, i+1, device))
		ip(t, fmt.Sprintf("-n %s link set %s up", ns, device))
	}
	return left, right
}

// TestAgentsInNamespaces runs over a cable between two namespaces: agents find
// their own addresses there, by name of the device too, in both IP versions.
func TestAgentsInNamespaces(t *testing.T) {
	left, right := namespaces(t)
	w := newWorld(t, options{engines: agent.Engines()})
	w.agent("syd", func(c *agent.Config) { c.Listen = port.Where{Netns: left} })
	w.agent("mel", func(c *agent.Config) {
		c.Listen = port.Where{Netns: right}
		c.Interfaces = []netp.Interface{{Name: "telco", Device: "netpe2e1"}, {Name: "fixed", Address: "198.51.100.2"}}
	})
	m, _ := w.runner.Fleet().Find("mel")
	if a, err := netip.ParseAddrPort(m.Agent.Address); err != nil || a.Addr() != netip.MustParseAddr("198.51.100.2") {
		t.Errorf("mel announces %q, %v; want 198.51.100.2", m.Agent.Address, err)
	}
	for _, c := range []struct {
		name, to string
		version  float64
	}{{"default", "", 0}, {"device", "telco", 0}, {"address", "fixed", 4}, {"ipv6", "telco", 6}} {
		p := makePlan(session{from: "syd", to: "mel", kind: "rtt", params: defaults(t, "rtt", netp.Params{"count": 20.0, "interval": 0.01})})
		if c.version != 0 {
			p.Tests[0].Params["ip"] = c.version
		}
		p.Sessions[0].Path.DestInterface = c.to
		if r := only(t, w.run(t.Context(), p, nil)); r.Status != netp.Pass {
			t.Errorf("%s: %s, %v", c.name, r.Status, r.Result.Failure)
		}
	}
	p := makePlan(session{from: "syd", to: "mel", kind: "rtt", params: defaults(t, "rtt", netp.Params{"ip": 6.0})})
	p.Sessions[0].Path.DestInterface = "fixed"
	r := only(t, w.run(t.Context(), p, nil))
	if f := r.Result.Failure; f == nil || f.Kind != netp.FailureUnsupported || !strings.Contains(f.Detail, "no IPv6 address") {
		t.Errorf("IPv6 to an interface without: %s, %v", r.Status, r.Result.Failure)
	}
}

// TestDataPortBehindAFirewallIsNotLoss cuts the data port, not the controller:
// the session is in error because it is unreachable, soon, and no figure of loss
// is made of it.
func TestDataPortBehindAFirewallIsNotLoss(t *testing.T) {
	left, right := namespaces(t)
	w := newWorld(t, options{engines: agent.Engines()})
	w.agent("syd", func(c *agent.Config) { c.Listen = port.Where{Netns: left} })
	w.agent("mel", func(c *agent.Config) { c.Listen = port.Where{Netns: right} })
	ip(t, fmt.Sprintf("-n %s link set netpe2e1 down", right))
	for _, kind := range []netp.Kind{"rtt", "udp", "tcp"} {
		s := session{from: "syd", to: "mel", kind: kind, params: defaults(t, kind, netp.Params{"duration": 1.0})}
		if kind != "tcp" {
			s.asserts = lossAtMost("loss.ratio <= 0.1")
		}
		if kind == "udp" {
			s.params["rate"] = "50pps"
		}
		r := only(t, w.run(t.Context(), makePlan(s), nil))
		if r.Status != netp.Errored || failureKind(r) != netp.FailureUnreachable || r.Attempts != 1 {
			t.Errorf("%s: %s, %v after %d attempts; want unreachable", kind, r.Status, r.Result.Failure, r.Attempts)
		}
	}
}

// TestEndpointFromALoopbackAgent measures a host beyond this one with an agent
// whose data port is on a loopback address, as the agents of a local run are.
func TestEndpointFromALoopbackAgent(t *testing.T) {
	left, _ := namespaces(t)
	ip(t, "-n "+left+" link set lo up")
	w := newWorld(t, options{engines: agent.Engines()})
	w.agent("syd", func(c *agent.Config) {
		c.Listen = port.Where{Netns: left, Address: netip.MustParseAddr("127.0.0.1")}
	})
	for _, to := range []string{"198.51.100.2", "127.0.0.1"} {
		p := makePlan(session{from: "syd", to: netp.AgentID(to), kind: "rtt", params: defaults(t, "rtt", netp.Params{"mode": "icmp", "count": 20.0, "interval": 0.01})})
		p.Sessions[0].Path.Endpoint = true
		if r := only(t, w.run(t.Context(), p, nil)); r.Status != netp.Pass {
			t.Errorf("%s: %s, %v", to, r.Status, r.Result.Failure)
		}
	}
}
