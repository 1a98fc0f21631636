package e2e

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent"
	"github.com/netpupper/netp/agent/port"
)

// natted is a namespace with one address behind a router that masquerades it.
type natted struct{ host, outside string }

// internet makes a host with an address that anybody can reach, and n sites behind
// routers of their own, which let nothing in that the site did not begin.
func internet(t *testing.T, n int) (open string, sites []natted) {
	open, _ = namespaces(t)
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs nft (nftables)")
	}
	for i := range n {
		inside, router := fmt.Sprintf("%s-in%d", open, i), fmt.Sprintf("%s-nat%d", open, i)
		for _, ns := range []string{inside, router} {
			ip(t, "netns add "+ns)
			t.Cleanup(func() { ip(t, "netns del "+ns) })
			ip(t, "-n "+ns+" link set lo up")
		}
		ip(t, fmt.Sprintf("link add netpnat%d netns %s type veth peer name netpout netns %s", i, open, router))
		ip(t, fmt.Sprintf("link add netpin netns %s type veth peer name netplan netns %s", router, inside))
		ip(t, fmt.Sprintf("-n %s addr add 203.0.113.%d/30 dev netpnat%d", open, 4*i+1, i))
		ip(t, fmt.Sprintf("-n %s addr add 203.0.113.%d/30 dev netpout", router, 4*i+2))
		ip(t, fmt.Sprintf("-n %s addr add 10.0.%d.1/24 dev netpin", router, i))
		ip(t, fmt.Sprintf("-n %s addr add 10.0.%d.2/24 dev netplan", inside, i))
		for _, link := range []string{fmt.Sprintf("-n %s link set netpnat%d up", open, i), "-n " + router + " link set netpout up",
			"-n " + router + " link set netpin up", "-n " + inside + " link set netplan up"} {
			ip(t, link)
		}
		ip(t, fmt.Sprintf("-n %s route add default via 10.0.%d.1", inside, i))
		ip(t, fmt.Sprintf("-n %s route add default via 203.0.113.%d", router, 4*i+1))
		inNamespace(t, router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
		inNamespace(t, router, "nft", `
			table inet nat {
			  chain post { type nat hook postrouting priority srcnat; oifname "netpout" masquerade random; }
			  chain forward { type filter hook forward priority filter; policy drop; ct state established,related accept; iifname "netpin" accept; }
			}`)
		sites = append(sites, natted{inside, fmt.Sprintf("203.0.113.%d", 4*i+2)})
	}
	inNamespace(t, open, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
	return open, sites
}

func inNamespace(t *testing.T, ns string, command ...string) {
	t.Helper()
	if out, err := exec.Command("ip", append([]string{"netns", "exec", ns}, command...)...).CombinedOutput(); err != nil {
		t.Fatalf("%v in %s: %v: %s", command, ns, err, out)
	}
}

// TestAgentsBehindNAT measures between an agent that anybody can reach and one behind
// a router that masquerades it, with either as the source: every kind, in every
// direction, and the figures are those of the path. Between two that are both behind
// NAT it says that nothing can work.
func TestAgentsBehindNAT(t *testing.T) {
	open, sites := internet(t, 2)
	w := newWorld(t, options{engines: agent.Engines()})
	w.agent("open", func(c *agent.Config) { c.Listen = port.Where{Netns: open} })
	for i, name := range []netp.AgentID{"nat", "hidden"} {
		w.agent(name, func(c *agent.Config) {
			c.Listen, c.NAT = port.Where{Netns: sites[i].host}, true
		})
	}
	kinds := []struct {
		kind   netp.Kind
		params netp.Params
		metric string
	}{
		{"rtt", netp.Params{"count": 50.0, "interval": 0.01}, "loss.received"},
		{"udp", netp.Params{"count": 100.0, "rate": "200pps"}, "loss.received"},
		{"udp", netp.Params{"count": 100.0, "rate": "200pps", "direction": "reverse"}, "loss.received"},
		{"udp", netp.Params{"count": 100.0, "rate": "200pps", "direction": "both", "streams": 3.0, "dscp": 46.0}, "reverse.loss.received"},
		{"tcp", netp.Params{"duration": 1.0, "rate": "4000000bps", "timeout": 20.0}, ""},
		{"tcp", netp.Params{"duration": 1.0, "rate": "4000000bps", "direction": "reverse", "streams": 2.0, "congestion": "cubic", "timeout": 20.0}, ""},
		{"tcp", netp.Params{"duration": 1.0, "direction": "both", "timeout": 20.0}, ""},
	}
	for _, pair := range [][2]netp.AgentID{{"open", "nat"}, {"nat", "open"}} {
		for _, k := range kinds {
			name := fmt.Sprintf("%s to %s, %s %v", pair[0], pair[1], k.kind, k.params)
			r := only(t, w.run(t.Context(), makePlan(session{from: pair[0], to: pair[1], kind: k.kind, params: defaults(t, k.kind, k.params)}), nil))
			if r.Result.Failure != nil || !r.Result.Completed || len(r.Result.Metrics) == 0 {
				t.Errorf("%s: %s, %v", name, r.Status, r.Result.Failure)
				continue
			}
			if m := r.Result.Metrics[k.metric]; k.metric != "" && (m.Value == nil || *m.Value < 25) {
				t.Errorf("%s: %s is %+v", name, k.metric, m)
			}
		}
	}
	f := only(t, w.run(t.Context(), makePlan(session{from: "nat", to: "hidden", kind: "rtt", params: defaults(t, "rtt", nil)}), nil)).Result.Failure
	if f == nil || f.Kind != netp.FailureUnreachable || !strings.Contains(f.Detail, "Both agents are behind NAT") {
		t.Errorf("both behind NAT: %v", f)
	}
	for _, c := range []struct {
		kind   netp.Kind
		params netp.Params
		why    string
	}{{"rtt", netp.Params{"mode": "icmp"}, "mode icmp cannot reach it"}, {"tcp", netp.Params{"mss": 1000.0}, "Remove mss"}} {
		f := only(t, w.run(t.Context(), makePlan(session{from: "open", to: "nat", kind: c.kind, params: defaults(t, c.kind, c.params)}), nil)).Result.Failure
		if f == nil || f.Kind != netp.FailureUnsupported || !strings.Contains(f.Detail, c.why) {
			t.Errorf("%s %v to an agent behind NAT: %v, want %q", c.kind, c.params, f, c.why)
		}
	}
	// A firewall on the way to the one that can be reached.
	inNamespace(t, open, "nft", `
		table inet closed {
		  chain in {
		    type filter hook input priority filter
		    tcp flags syn drop
		    meta l4proto udp drop
		  }
		}`)
	f = only(t, w.run(t.Context(), makePlan(session{from: "open", to: "nat", kind: "rtt", params: defaults(t, "rtt", nil)}), nil)).Result.Failure
	if f == nil || f.Kind != netp.FailureUnreachable || !strings.Contains(f.Detail, "behind NAT") || !strings.HasSuffix(f.Detail, " lead to that agent?") {
		t.Errorf("behind NAT, to a data port that is closed: %v", f)
	}
}

// TestNATIsFoundOut runs the daemons: the controller sees that an agent's connection
// is translated, without being told, and a session to it works.
func TestNATIsFoundOut(t *testing.T) {
	open, sites := internet(t, 1)
	ip(t, "-n "+open+" link set lo up")
	d := &deployment{t: t, binary: buildNetp(t), dir: t.TempDir(), http: "203.0.113.1:8640", bus: "203.0.113.1:4222", inside: []string{"ip", "netns", "exec", open}}
	d.startController()
	d.start(d.inside, "agent", "-join", d.token(), "-data", d.path("syd"), "-name", "syd", "-listen", "203.0.113.1:8620")
	d.start([]string{"ip", "netns", "exec", sites[0].host}, "agent", "-join", d.token(), "-data", d.path("mel"), "-name", "mel")
	d.await("syd", "ready")
	d.await("mel", "ready")
	if _, a := d.state("mel"); !a.NAT || a.Address != "10.0.0.2:8620" {
		t.Errorf("mel is listed as %+v", a)
	}
	if _, a := d.state("syd"); a.NAT {
		t.Error("syd counts as behind NAT")
	}
	out, complaints, err := d.command("apply", "-auto-approve", d.suite("count = 50"))
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 75) {
		t.Errorf("apply: %v\n%s%s", err, out, complaints)
	}
}
