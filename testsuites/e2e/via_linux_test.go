package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// viaSuite runs one session that must use the second cable and one that must not.
const viaSuite = `
suite "via" {}
agent "syd" {}
agent "mel" {}
path "telco" {
  from = agent.syd
  to   = agent.mel
  via  = "telco-b"
}
path "usual" {
  from = agent.syd
  to   = agent.mel
}
profile "rtt" "probe" {
  interval = "10ms"
  count    = 100
}
test "PATH" {
  path    = path.PATH
  profile = profile.rtt.probe
  assert "alive" { condition = rtt.p50 <= 10 * s }
}
`

// packetsOut counts what a device has sent.
func packetsOut(t *testing.T, ns, device string) int {
	t.Helper()
	out, err := exec.Command("ip", "-n", ns, "-j", "-s", "link", "show", "dev", device).Output()
	if err != nil {
		t.Fatalf("statistics of %s: %v", device, err)
	}
	var links []struct {
		Stats struct{ Tx struct{ Packets int } } `json:"stats64"`
	}
	if err := json.Unmarshal(out, &links); err != nil || len(links) != 1 {
		t.Fatalf("statistics of %s: %v, %s", device, err, out)
	}
	return links[0].Stats.Tx.Packets
}

// TestAgentFileInterfaces runs the daemons in two namespaces that two cables join,
// with an interface in the agents' files, by its address and by its device: a path
// via it leaves there at both ends, and a path without leaves by the other cable.
func TestAgentFileInterfaces(t *testing.T) {
	left, right := namespaces(t)
	ip(t, "-n "+left+" link set lo up")
	ip(t, fmt.Sprintf("link add netpe2e2 netns %s type veth peer name netpe2e3 netns %s", left, right))
	for i, ns := range []string{left, right} {
		ip(t, fmt.Sprintf("-n %s addr add 203.0.113.%d/24 dev netpe2e%d", ns, i+1, i+2))
		ip(t, fmt.Sprintf("-n %s link set netpe2e%d up", ns, i+2))
	}
	binary := buildNetp(t)
	for name, said := range map[string][2]string{
		"address": {`address = "203.0.113.1"`, `address = "203.0.113.2"`},
		"device":  {`device = "netpe2e2"`, `device = "netpe2e3"`},
	} {
		t.Run(name, func(t *testing.T) {
			d := &deployment{t: t, binary: binary, dir: t.TempDir(), http: "198.51.100.1:8640", bus: "198.51.100.1:4222",
				inside: []string{"ip", "netns", "exec", left}}
			d.startController()
			for i, agent := range []string{"syd", "mel"} {
				file := d.write(agent+".hcl", fmt.Sprintf("name = %q\ndata = %q\nlisten = \"198.51.100.%d:8620\"\njoin = %q\ninterface \"telco-b\" {\n  %s\n}\n",
					agent, agent, i+1, d.token(), said[i]))
				d.start([]string{"ip", "netns", "exec", []string{left, right}[i]}, "agent", "-config", file)
			}
			d.await("syd", "ready")
			d.await("mel", "ready")
			for _, c := range []struct {
				path        string
				least, most int // packets on the second cable
			}{{"telco", 50, 1 << 30}, {"usual", 0, 20}} {
				suite := t.TempDir()
				text := strings.ReplaceAll(viaSuite, "PATH", c.path)
				if err := os.WriteFile(suite+"/suite.hcl", []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				before := [2]int{packetsOut(t, left, "netpe2e2"), packetsOut(t, right, "netpe2e3")}
				out, complaints, err := d.command("apply", "-auto-approve", suite)
				var exit *exec.ExitError
				if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 75) { // a busy machine's clock may be unsound
					t.Fatalf("apply: %v\n%s%s", err, out, complaints)
				}
				after := [2]int{packetsOut(t, left, "netpe2e2"), packetsOut(t, right, "netpe2e3")}
				for i := range after {
					if sent := after[i] - before[i]; sent < c.least || sent > c.most {
						t.Errorf("path %s: agent %d sent %d packets over the second cable, want %d to %d\n%s", c.path, i, sent, c.least, c.most, out)
					}
				}
			}
		})
	}
}

// TestControlAndDataApart has agents reach the controller over one cable, in IPv4,
// and each other over another one, in IPv4 and in IPv6.
func TestControlAndDataApart(t *testing.T) {
	left, right := namespaces(t)
	ip(t, "-n "+left+" link set lo up")
	ip(t, fmt.Sprintf("link add netpe2e2 netns %s type veth peer name netpe2e3 netns %s", left, right))
	for i, ns := range []string{left, right} {
		ip(t, fmt.Sprintf("-n %s addr add 203.0.113.%d/24 dev netpe2e%d", ns, i+1, i+2))
		ip(t, fmt.Sprintf("-n %s addr add 2001:db8:2::%d/64 dev netpe2e%d nodad", ns, i+1, i+2))
		ip(t, fmt.Sprintf("-n %s link set netpe2e%d up", ns, i+2))
	}
	binary := buildNetp(t)
	for name, data := range map[string][2]string{
		"ipv4": {"203.0.113.1", "203.0.113.2"}, "ipv6": {"[2001:db8:2::1]", "[2001:db8:2::2]"},
	} {
		t.Run(name, func(t *testing.T) {
			d := &deployment{t: t, binary: binary, dir: t.TempDir(), http: "198.51.100.1:8640", bus: "198.51.100.1:4222",
				inside: []string{"ip", "netns", "exec", left}}
			d.startController()
			for i, agent := range []string{"syd", "mel"} {
				d.start([]string{"ip", "netns", "exec", []string{left, right}[i]}, "agent", "-join", d.token(), "-data", d.path(agent), "-name", agent, "-listen", data[i]+":8620")
			}
			d.await("syd", "ready")
			d.await("mel", "ready")
			if _, a := d.state("mel"); a.Address != data[1]+":8620" || a.NAT {
				t.Errorf("mel is listed as %+v", a)
			}
			before := packetsOut(t, right, "netpe2e3")
			out, complaints, err := d.command("apply", "-auto-approve", d.suite("count = 100"))
			var exit *exec.ExitError
			if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 75) {
				t.Fatalf("apply: %v\n%s%s", err, out, complaints)
			}
			if sent := packetsOut(t, right, "netpe2e3") - before; sent < 50 {
				t.Errorf("mel sent %d packets over the cable for data, want those of a session", sent)
			}
		})
	}
}
