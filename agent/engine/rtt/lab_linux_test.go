package rtt

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/port"
)

// lab is two network namespaces with a link between them, and rules that lose exact shares of packets.
type lab struct {
	t           *testing.T
	near, far   string // names of the namespaces
	nearA, farA string // addresses
}

func newLab(t *testing.T) *lab {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("the lab needs root, for network namespaces")
	}
	for _, tool := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the lab needs the program %s", tool)
		}
	}
	name := fmt.Sprintf("netp-rtt-%d-%s", os.Getpid(), strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-")))
	l := &lab{t: t, near: name + "-near", far: name + "-far", nearA: "10.87.1.1", farA: "10.87.1.2"}
	for _, ns := range []string{l.near, l.far} {
		if out, err := exec.Command("ip", "netns", "add", ns).CombinedOutput(); err != nil {
			t.Skipf("the lab needs network namespaces: %v: %s", err, out)
		}
		t.Cleanup(func() { exec.Command("ip", "netns", "delete", ns).Run() })
	}
	l.run("ip", "-n", l.near, "link", "add", "v0", "type", "veth", "peer", "name", "v0", "netns", l.far)
	for ns, address := range map[string]string{l.near: l.nearA, l.far: l.farA} {
		l.run("ip", "netns", "exec", ns, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
		l.run("ip", "-n", ns, "address", "add", address+"/24", "dev", "v0")
		l.run("ip", "-n", ns, "link", "set", "v0", "up")
	}
	return l
}

func (l *lab) run(name string, args ...string) {
	l.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		l.t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

// rule drops what matches at the entrance of a namespace.
func (l *lab) rule(ns, match string) {
	l.t.Helper()
	l.run("ip", "netns", "exec", ns, "nft", "add table ip lab; add chain ip lab in { type filter hook input priority 0; }; add rule ip lab in "+match+" drop")
}

// TestLossIsTold compares with rules that drop exact numbers of probes in known directions. A probe or answer is 160 bytes of UDP;
// set-up and closing are not.
func TestLossIsTold(t *testing.T) {
	for _, test := range []struct {
		name             string
		there, back      string // rules
		lost, longest    float64
		forward, reverse float64
	}{
		{"none", "", "", 0, 0, 0, 0},
		{"there", "udp length 160 numgen inc mod 10 == 0", "", 20, 1, 0.1, 0},
		{"back", "", "udp length 160 numgen inc mod 10 == 0", 20, 1, 0, 0.1},
		{"both", "udp length 160 numgen inc mod 10 == 9", "udp length 160 numgen inc mod 9 == 8", 40, 2, 0.1, 1.0 / 9},
		{"outage", "udp length 160 numgen inc mod 1000 >= 50 numgen inc mod 1000 < 60", "", 60, 60, 0.3, 0},
		{"end there", "udp length 160 numgen inc mod 1000 >= 150", "", 50, 50, 0.25, 0},
		{"end back", "", "udp length 160 numgen inc mod 1000 >= 150", 50, 50, 0, 0.25},
		{"begin", "udp length 160 numgen inc mod 1000 < 20", "", 20, 20, 0.1, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			if test.there != "" {
				l.rule(l.far, test.there)
			}
			if test.back != "" {
				l.rule(l.near, test.back)
			}
			params := netp.Params{"count": 200.0, "interval": 0.002, "timeout": 3.0}
			initiator, responder := between(t, port.Where{Netns: l.far}, port.Where{Netns: l.near}, params)
			initiator.Peer = addrPort(t, l.farA, initiator.Peer.Port())
			near, far := play(deadlined(t), initiator, responder)
			wantComplete(t, near, params)
			wantMetrics(t, near, map[string]float64{
				metricSent: 200, metricLost: test.lost, metricLoss: test.lost / 200, metricLongest: test.longest,
				metricForward: test.forward, metricBackward: test.reverse,
			})
			if far.Failure != nil {
				t.Errorf("the responder fails with %v", far.Failure)
			}
			if c := find(far, "reflector_send_lag"); c.Value <= 0 {
				t.Errorf("the reflector did not see when its answers left: %+v", c)
			}
			// When the answer before a loss left may not be told.
			followed, _ := strconv.Atoi(near.Facts["answers_followed_up"])
			if least := 200 - 2*int(test.lost) - 1; followed < least || followed > 200 {
				t.Errorf("%d answers were followed up; want %d or more", followed, least)
			}
			if near.Facts["departures_unstamped"] != "" {
				t.Errorf("%s probes without a stamp of their departure", near.Facts["departures_unstamped"])
			}
		})
	}
}

// TestBlockedPort: a firewall that drops the data port makes it unreachable; one that drops only large packets is told apart.
func TestBlockedPort(t *testing.T) {
	for name, test := range map[string]struct{ rule, text string }{
		"port":  {"meta l4proto udp", "firewall"},
		"large": {"udp length > 1000", "path MTU"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.rule(l.far, test.rule)
			params := netp.Params{"duration": 3600.0, "interval": 0.01, "timeout": 0.5, "size": 1200.0}
			initiator, _ := between(t, port.Where{Netns: l.far}, port.Where{Netns: l.near}, params)
			initiator.Peer = addrPort(t, l.farA, initiator.Peer.Port())
			near := new(Engine).Initiate(deadlined(t), initiator)
			if near.Failure == nil || near.Failure.Kind != netp.FailureUnreachable || !strings.Contains(near.Failure.Detail, test.text) {
				t.Errorf("failure %v; want unreachable with a word on %q", near.Failure, test.text)
			}
			if len(near.Metrics) != 0 {
				t.Errorf("%d metrics of a path that was not measured", len(near.Metrics))
			}
		})
	}
}

// TestSmallerMTU: what does not fit is an error that says so, and no loss.
func TestSmallerMTU(t *testing.T) {
	for mode, size := range map[string]float64{modeStamp: 1300, modeICMP: 1300} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			for _, ns := range []string{l.near, l.far} {
				l.run("ip", "-n", ns, "link", "set", "v0", "mtu", "1280")
			}
			params := netp.Params{"count": 20.0, "interval": 0.01, "timeout": 0.5, "size": size, "mode": mode}
			initiator, _ := between(t, port.Where{Netns: l.far}, port.Where{Netns: l.near}, params)
			initiator.Peer = addrPort(t, l.farA, initiator.Peer.Port())
			if mode == modeICMP {
				initiator.Path = netp.Path{Dest: l.farA, Endpoint: true}
			}
			near := new(Engine).Initiate(deadlined(t), initiator)
			if f := near.Failure; f == nil || f.Kind != netp.FailureUnsupported || !strings.Contains(f.Detail, "smaller size") {
				t.Errorf("failure %v; want one that asks for a smaller size", f)
			}
			if len(near.Metrics) != 0 {
				t.Errorf("%d metrics of a path that was not measured", len(near.Metrics))
			}
		})
	}
}

// TestICMPWithoutRoute: that a network is not reachable is told as such, also where ping sockets are forbidden and a raw one
// takes their place (as in a new network namespace).
func TestICMPWithoutRoute(t *testing.T) {
	l := newLab(t)
	j := job(t, netp.Params{"count": 5.0, "interval": 0.01, "mode": modeICMP})
	j.Dialer = port.Dialer{Where: port.Where{Netns: l.near}}
	j.Path = netp.Path{Dest: "10.99.0.1", Endpoint: true}
	if f := new(Engine).Initiate(deadlined(t), j).Failure; f == nil || f.Kind != netp.FailureUnreachable {
		t.Errorf("failure %v, want %s", f, netp.FailureUnreachable)
	}
}

// TestRefusedByAFirewall: what a firewall answers by ICMP is no answer of the host, though connecting fails as if the host had refused.
func TestRefusedByAFirewall(t *testing.T) {
	l := newLab(t)
	l.run("ip", "netns", "exec", l.far, "nft", "add table ip lab; add chain ip lab in { type filter hook input priority 0; }; add rule ip lab in tcp dport 80 reject")
	j := job(t, netp.Params{"mode": modeTCP, "count": 4.0, "interval": 0.01, "timeout": 1.0})
	j.Path = netp.Path{Dest: l.farA + ":80", Endpoint: true}
	j.Dialer = port.Dialer{Where: port.Where{Netns: l.near}}
	near := new(Engine).Initiate(deadlined(t), j)
	if f := near.Failure; f == nil || f.Kind != netp.FailureUnreachable || !strings.Contains(f.Detail, "times by ICMP") {
		t.Errorf("failure %v; want unreachable, as the network reported by ICMP", f)
	}
	if near.Facts["refused"] != "" || len(near.Metrics) != 0 {
		t.Errorf("%s connections were refused, %d metrics; want none", near.Facts["refused"], len(near.Metrics))
	}
}
