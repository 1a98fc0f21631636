package tcp

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/engine/internal/host"
	"github.com/netpupper/netp/agent/port"
)

// lines numbers the namespaces.
var lines atomic.Int32

// bottleneck makes two network namespaces with a line between them that carries rate [Mbit/s] in each direction, Ethernet
// headers included, with a queue of 50 ms. It gives their names.
func bottleneck(t *testing.T, rate int) (a, b string) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes ten seconds; run without -short")
	}
	for _, tool := range []string{"ip", "tc"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs the program %s (package iproute2)", tool)
		}
	}
	if os.Getuid() != 0 {
		t.Skip("needs root for network namespaces")
	}
	n := lines.Add(1)
	a, b = fmt.Sprintf("netp-tcp-a-%d-%d", os.Getpid(), n), fmt.Sprintf("netp-tcp-b-%d-%d", os.Getpid(), n)
	run := func(line string) {
		t.Helper()
		words := strings.Fields(line)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			t.Skipf("no network namespaces with a token bucket here: %s: %v: %s", line, err, out)
		}
	}
	for i, ns := range []string{a, b} {
		run("ip netns add " + ns)
		t.Cleanup(func() { exec.Command("ip", "netns", "del", ns).Run() })
		if i == 1 {
			run(fmt.Sprintf("ip -n %s link add eth0 type veth peer name eth0 netns %s", a, b))
		}
	}
	for i, ns := range []string{a, b} {
		run(fmt.Sprintf("ip -n %s addr add 10.83.7.%d/24 dev eth0", ns, i+1))
		run(fmt.Sprintf("ip -n %s link set eth0 up", ns))
		run(fmt.Sprintf("tc -n %s qdisc add dev eth0 root tbf rate %dmbit burst %d latency 50ms", ns, rate, max(6000, rate*1000/8*4)))
	}
	return a, b
}

// slower is how much of its rate a line carries at least whose token bucket is worked by processors that have other work.
const slower = 0.7

// TestBottleneck has a path that is known: the goodput is its rate less the headers of TCP, IP and Ethernet.
func TestBottleneck(t *testing.T) {
	const rate = 20
	a, b := bottleneck(t, rate)
	for _, c := range []struct {
		name   string
		params netp.Params
		near   float64 // share of the goodput that TCP reaches at least
	}{
		{"forward", netp.Params{"duration": 1.5, "omit": 0.5, "bottleneck": rate * 1e6, "congestion": "cubic"}, 0.98},
		// Without a warm-up: what had to wait there for a retransmission would count when it is delivered, and pass the line's rate.
		{"reverse", netp.Params{"duration": 2.0, "direction": "reverse", "streams": 2.0, "congestion": "cubic"}, 0.95},
		// The acknowledgements of one direction share the line with the data of the other, and which of the two suffers varies.
		{"both", netp.Params{"duration": 2.0, "direction": "both", "congestion": "cubic"}, 0.75},
		{"bytes", netp.Params{"bytes": 4e6, "congestion": "cubic"}, 0.98},
		{"paced above", netp.Params{"duration": 1.5, "rate": 50e6, "congestion": "cubic"}, 0.95},
		{"paced below", netp.Params{"duration": 1.0, "rate": 10e6, "omit": 0.2}, 0.51},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPairAt(t, c.params,
				port.Config{Where: port.Where{Address: netip.MustParseAddr("10.83.7.2"), Netns: b}}, port.Where{Netns: a})
			began := host.Read()
			r := p.merged()
			near, busy := c.near, began.Until(host.Read()).Busy > maxBusy
			if busy {
				near *= slower
			}
			ideal := rate * 1e6 * 1448 / 1514
			// What a reader that is held up for 0.1 s finds in its socket at the start counts, too.
			most := ideal * (1.01 + 0.1/r.Measured.Seconds())
			for name, m := range r.Metrics {
				if base(name) != "throughput" {
					continue
				}
				got := m.Distribution.Member("mean")
				t.Logf("%s %.4f Mbit/s, %.4f of the ideal", name, got/1e6, got/ideal)
				if got > most || got < near*ideal && healthy(r, "host_stall") {
					t.Errorf("%s is %.3f Mbit/s, the line carries %.3f", name, got/1e6, ideal/1e6)
				}
			}
			if !busy && !healthy(r, "rate_achieved") && healthy(r, "host_stall") {
				t.Error("the host is blamed for the rate that the line does not carry")
			}
			for _, name := range []string{"retransmits", "efficiency", "buffer_delay", "limited.cwnd", "transfer_time_ratio"} {
				if v := r.Metrics[name].Value; v != nil {
					t.Logf("%s %.4g", name, *v)
				}
			}
			t.Log(r.Facts)
			for _, h := range r.Health {
				if !h.OK {
					t.Log(h.Name, h.Reason)
				}
			}
		})
	}
}

// TestOutage cuts the line in the middle of a session: a short cut is measured, a long one ends the session at both ends.
func TestOutage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		heals    bool
		duration float64
	}{
		"short":    {true, 6},
		"for good": {false, 12}, // over long after both ends have given up, also on a machine that stops meanwhile
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := bottleneck(t, 20)
			line := func(state string) {
				if out, err := exec.Command("ip", "-n", b, "link", "set", "eth0", state).CombinedOutput(); err != nil {
					t.Errorf("set the line %s: %v: %s", state, err, out)
				}
			}
			p := newPairAt(t, netp.Params{"duration": c.duration},
				port.Config{Where: port.Where{Address: netip.MustParseAddr("10.83.7.2"), Netns: b}}, port.Where{Netns: a})
			var once sync.Once
			healed := make(chan struct{})
			p.initiator.Progress = func(netp.Progress) {
				once.Do(func() {
					line("down")
					if c.heals {
						time.AfterFunc(1500*time.Millisecond, func() { line("up"); close(healed) })
					}
				})
			}
			initiator, responder := p.run()
			if !c.heals {
				wantFailure(t, initiator, netp.FailureInterrupted, "Nothing was heard")
				wantFailure(t, responder, netp.FailureInterrupted, "Nothing was heard")
				return
			}
			<-healed
			r := netp.Merge(initiator, responder)
			if r.Failure != nil || !r.Completed {
				t.Fatalf("failure %v", r.Failure)
			}
			d := r.Metrics["throughput"].Distribution
			t.Logf("mean %.2f, min %.2f, max %.2f Mbit/s", d.Member("mean")/1e6, d.Member("min")/1e6, d.Member("max")/1e6)
			if d.Member("min") != 0 || d.Member("count") != 60 || d.Member("mean") < 5e6 {
				t.Errorf("min %g, mean %g bit/s over %g intervals; want an outage and a recovery in 60", d.Member("min"), d.Member("mean"), d.Member("count"))
			}
			for _, h := range r.Health {
				if !h.OK {
					t.Log(h.Name, h.Reason)
				}
			}
		})
	}
}
