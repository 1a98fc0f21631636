//go:build linux

package lab_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netpupper/netp/testsuites/lab"
	"github.com/netpupper/netp/testsuites/lab/emulator"
	"github.com/netpupper/netp/testsuites/lab/labtest"
)

// wan is five sites with two carriers each.
func wan() lab.WAN {
	w := lab.WAN{Carriers: []string{"telco-a", "telco-b"}}
	for _, name := range []string{"syd", "mel", "per", "bne", "adl"} {
		w.Sites = append(w.Sites, lab.Site{Name: name, Lines: []lab.SiteLine{{Carrier: "telco-a"}, {Carrier: "telco-b"}}})
	}
	return w
}

// echo answers what comes to a node until the test ends.
func echo(t testing.TB, n *lab.Node) {
	t.Helper()
	conn := must(n.Listen(netip.MustParseAddrPort("0.0.0.0:7")))(t)
	// Answers bear the address that was asked, so that they go back by the same carrier.
	raw := must(conn.SyscallConn())(t)
	check(t, raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1) }))
	var serving sync.WaitGroup
	serving.Go(func() {
		buffer, more := make([]byte, 2000), make([]byte, 100)
		for {
			length, extra, _, from, err := conn.ReadMsgUDPAddrPort(buffer, more)
			if err != nil {
				return
			}
			messages, _ := unix.ParseSocketControlMessage(more[:extra])
			for i := range messages {
				if messages[i].Header.Type == unix.IP_PKTINFO {
					info := unix.Inet4Pktinfo{Spec_dst: [4]byte(messages[i].Data[8:12])}
					conn.WriteMsgUDPAddrPort(buffer[:length], unix.PktInfo4(&info), from)
				}
			}
		}
	})
	t.Cleanup(func() { conn.Close(); serving.Wait() })
}

// ask sends a word from an address of a node to the echo at another and says how long the answer took.
func ask(n *lab.Node, from, to netip.Addr, wait time.Duration) (time.Duration, error) {
	conn, err := n.Listen(netip.AddrPortFrom(from, 0))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	begin := time.Now()
	if _, err := conn.WriteToUDPAddrPort([]byte("hello"), netip.AddrPortFrom(to, 7)); err != nil {
		return 0, err
	}
	conn.SetReadDeadline(begin.Add(wait))
	_, err = conn.Read(make([]byte, 100))
	return time.Since(begin), err
}

// TestWAN: each site reaches each other by each carrier, and by that one alone.
func TestWAN(t *testing.T) {
	l := labtest.New(t)
	n := must(l.Build(wan()))(t)
	for _, host := range n.Sites {
		echo(t, host)
	}
	for from, host := range n.Sites {
		for to := range n.Sites {
			for carrier := range n.Carriers {
				if from == to {
					continue
				}
				line := n.Lines[from][carrier]
				before, _, err := line.Forward.Count()
				check(t, err)
				if _, err := ask(host, n.Host[from][carrier], n.Host[to][carrier], patience); err != nil {
					t.Errorf("%s to %s by %s: %v", from, to, carrier, err)
				}
				if after, _, _ := line.Forward.Count(); after.In != before.In+1 {
					t.Errorf("%s to %s: %d packets went up %s's line; want 1", from, to, after.In-before.In, carrier)
				}
			}
		}
	}
}

// echoAt answers what comes to one address of a node until the test ends.
func echoAt(t testing.TB, n *lab.Node, at netip.Addr) {
	t.Helper()
	conn := must(n.Listen(netip.AddrPortFrom(at, 7)))(t)
	var serving sync.WaitGroup
	serving.Go(func() {
		buffer := make([]byte, 2000)
		for {
			length, from, err := conn.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			conn.WriteToUDPAddrPort(buffer[:length], from)
		}
	})
	t.Cleanup(func() { conn.Close(); serving.Wait() })
}

// TestIPv6: each site reaches each other by IPv6, too, by each carrier, and what a line counts is what was sent: nobody's search
// for neighbours is among it.
func TestIPv6(t *testing.T) {
	for _, only := range []int{0, 6} {
		l := labtest.New(t)
		w := wan()
		w.IP = only
		n := must(l.Build(w))(t)
		for site, host := range n.Sites {
			for _, a := range n.Host6[site] {
				echoAt(t, host, a)
			}
			if _, has := n.Host[site]["telco-a"]; has != (only == 0) {
				t.Errorf("IP %d: site %s has IPv4: %v", only, site, has)
			}
		}
		sent := map[string]uint64{}
		for from, host := range n.Sites {
			for to := range n.Sites {
				for carrier := range n.Carriers {
					if from == to {
						continue
					}
					if _, err := ask(host, n.Host6[from][carrier], n.Host6[to][carrier], patience); err != nil {
						t.Errorf("IP %d: %s to %s by %s: %v", only, from, to, carrier, err)
					}
					sent[from+carrier]++
					sent[to+carrier]++
				}
			}
		}
		for site, lines := range n.Lines {
			for carrier, line := range lines {
				if c, _, err := line.Forward.Count(); err != nil || c.In != sent[site+carrier] {
					t.Errorf("IP %d: %d packets went up %s's line of %s, %v; want %d", only, c.In, carrier, site, err, sent[site+carrier])
				}
			}
		}
		if only == 0 && n.Host6["mel"]["telco-b"] != netip.MustParseAddr("fd10:2:2::10") {
			t.Errorf("mel's address on telco-b is %s", n.Host6["mel"]["telco-b"])
		}
		check(t, l.Close())
	}
}

// TestIPv6Rules: rules of nftables are about both versions of IP.
func TestIPv6Rules(t *testing.T) {
	l := labtest.New(t)
	w := wan()
	w.Sites[1].Block = []lab.Drop{{Hook: lab.Input, Protocol: 17, Port: 7, MinLength: 40 + 8 + 5}} // one with "hello"
	n := must(l.Build(w))(t)
	syd, mel := n.Host6["syd"]["telco-a"], n.Host6["mel"]["telco-a"]
	echoAt(t, n.Sites["mel"], mel)
	echoAt(t, n.Sites["per"], n.Host6["per"]["telco-a"])
	if _, err := ask(n.Sites["syd"], syd, mel, 200*time.Millisecond); err == nil {
		t.Error("the blocked port answers")
	}
	if _, err := ask(n.Sites["syd"], syd, n.Host6["per"]["telco-a"], patience); err != nil {
		t.Errorf("another site: %v", err)
	}
}

// TestAsymmetricRoute goes out by one carrier and back by the other: the packet bears an address of the other.
func TestAsymmetricRoute(t *testing.T) {
	l := labtest.New(t)
	w := wan()
	for i := range w.Sites {
		w.Sites[i].Lines[0].Up.Delay, w.Sites[i].Lines[1].Up.Delay = 3*time.Millisecond, 6*time.Millisecond
	}
	n := must(l.Build(w))(t)
	syd, mel := n.Sites["syd"], n.Sites["mel"]
	echo(t, mel)
	check(t, n.Carriers["telco-a"].Route(0, netip.MustParsePrefix("10.2.0.0/16"), netip.MustParseAddr("10.1.2.10")))
	check(t, syd.Route(102, netip.MustParsePrefix("10.1.0.0/16"), netip.MustParseAddr("10.1.1.11")))
	check(t, mel.Route(101, netip.MustParsePrefix("10.2.0.0/16"), netip.MustParseAddr("10.2.2.11")))
	took, err := ask(syd, n.Host["syd"]["telco-b"], n.Host["mel"]["telco-a"], patience)
	if err != nil || took < 9*time.Millisecond {
		t.Errorf("the answer took %v, %v; want 3 ms out by telco-a and 6 ms back by telco-b", took, err)
	}
	out, _, _ := n.Lines["syd"]["telco-a"].Forward.Count()
	back, _, _ := n.Lines["mel"]["telco-b"].Forward.Count()
	if out.In != 1 || back.In != 1 {
		t.Errorf("%d packets out by telco-a and %d back by telco-b; want 1 each", out.In, back.In)
	}
}

// TestEqualCost: flows are spread over two lines, each flow on one of them.
func TestEqualCost(t *testing.T) {
	l := labtest.New(t)
	a, router, b := must(l.Node("a"))(t), must(l.Router("r"))(t), must(l.Router("b"))(t)
	prefix := func(s string) netip.Prefix { return netip.MustParsePrefix(s) }
	// An emulated line before the router: the kernel gives sockets' packets a random hash, and a veth would keep it.
	must(l.Line(lab.End{Node: a, Device: "lan", Address: prefix("10.0.0.1/24")}, lab.End{Node: router, Device: "lan", Address: prefix("10.0.0.2/24")}))(t)
	var ways [2]*lab.Line
	for i := range ways {
		ways[i] = must(l.Line(
			lab.End{Node: router, Device: fmt.Sprintf("wan%d", i), Address: prefix(fmt.Sprintf("10.0.%d.1/24", i+1))},
			lab.End{Node: b, Device: fmt.Sprintf("wan%d", i), Address: prefix(fmt.Sprintf("10.0.%d.2/24", i+1))}))(t)
	}
	check(t, a.Route(0, prefix("10.0.0.0/8"), netip.MustParseAddr("10.0.0.2")))
	check(t, router.Route(0, prefix("10.99.0.0/16"), netip.MustParseAddr("10.0.1.2"), netip.MustParseAddr("10.0.2.2")))
	check(t, b.Route(0, prefix("10.0.0.0/24"), netip.MustParseAddr("10.0.1.1")))
	check(t, b.AddAddress("lo", prefix("10.99.0.1/32")))
	echo(t, b)
	for flow := range 40 {
		var before, after [2]uint64
		for i, w := range ways {
			c, _, err := w.Forward.Count()
			check(t, err)
			before[i] = c.In
		}
		conn := must(a.Listen(netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), uint16(20_000+flow))))(t)
		for range 3 {
			conn.WriteToUDPAddrPort([]byte("hello"), netip.MustParseAddrPort("10.99.0.1:7"))
			conn.SetReadDeadline(time.Now().Add(patience))
			if _, err := conn.Read(make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
		}
		conn.Close()
		for i, w := range ways {
			c, _, _ := w.Forward.Count()
			after[i] = c.In - before[i]
		}
		if after != [2]uint64{3, 0} && after != [2]uint64{0, 3} {
			t.Errorf("flow %d went %v; want all of it one way", flow, after)
		}
	}
	first, _, _ := ways[0].Forward.Count()
	if first.In == 0 || first.In == 120 {
		t.Errorf("%d of 120 packets went the first way; want some", first.In)
	}
}

// TestNAT: a hidden site asks and gets answers, by each carrier; what was not asked for does not come in.
func TestNAT(t *testing.T) {
	l := labtest.New(t)
	w := wan()
	w.Sites[0].NAT = true
	n := must(l.Build(w))(t)
	syd, mel := n.Sites["syd"], n.Sites["mel"]
	echo(t, syd)
	echo(t, mel)
	for carrier, address := range n.Host["syd"] {
		if _, err := ask(syd, address, n.Host["mel"][carrier], patience); err != nil {
			t.Errorf("out by %s: %v", carrier, err)
		}
		outside := n.Lines["syd"][carrier].Ends[0].Address.Addr()
		if _, err := ask(mel, n.Host["mel"][carrier], outside, 200*time.Millisecond); err == nil {
			t.Errorf("in by %s: a packet that was not asked for came through", carrier)
		}
	}
}

// TestFirewall blocks one port of a site.
func TestFirewall(t *testing.T) {
	l := labtest.New(t)
	w := wan()
	w.Sites[1].Block = []lab.Drop{{Hook: lab.Input, Protocol: 17, Port: 7}}
	n := must(l.Build(w))(t)
	echo(t, n.Sites["mel"])
	echo(t, n.Sites["per"])
	from := n.Host["syd"]["telco-a"]
	if _, err := ask(n.Sites["syd"], from, n.Host["mel"]["telco-a"], 200*time.Millisecond); err == nil {
		t.Error("the blocked port answers")
	}
	if _, err := ask(n.Sites["syd"], from, n.Host["per"]["telco-a"], patience); err != nil {
		t.Errorf("another site: %v", err)
	}
}

// TestPartition cuts a site off and joins it again.
func TestPartition(t *testing.T) {
	l := labtest.New(t)
	n := must(l.Build(wan()))(t)
	echo(t, n.Sites["mel"])
	reach := func(wait time.Duration) error {
		_, err := ask(n.Sites["syd"], n.Host["syd"]["telco-a"], n.Host["mel"]["telco-a"], wait)
		return err
	}
	check(t, reach(patience))
	for _, way := range n.Lines["mel"]["telco-a"].Both() {
		check(t, way.Set(emulator.Impair{Down: true}))
	}
	if reach(200*time.Millisecond) == nil {
		t.Error("the site is cut off, and answers")
	}
	for _, way := range n.Lines["mel"]["telco-a"].Both() {
		check(t, way.Set(emulator.Impair{}))
	}
	check(t, reach(patience))
}

// TestNames: a program in a site finds the name server of the lab, in whatever state it is.
func TestNames(t *testing.T) {
	l := labtest.New(t)
	host := must(l.Node("host"))(t)
	at := netip.MustParseAddrPort("127.0.0.53:53")
	for name, c := range map[string]struct {
		server lab.NameServer
		code   int // exit code of getent: 2 is "not found"
	}{"server failure": {lab.NameServer{Code: lab.ServerFailure}, 2}, "no such name": {lab.NameServer{Code: lab.NoSuchName, Delay: 5 * time.Millisecond}, 2}} {
		stop := must(host.ServeNames(at, c.server))(t)
		command := exec.Command("getent", "ahostsv4", "www.example.net")
		check(t, host.StartResolving(command, "nameserver 127.0.0.53\noptions attempts:1 timeout:1\n"))
		command.Wait()
		if got := command.ProcessState.ExitCode(); got != c.code {
			t.Errorf("%s: getent exits with %d; want %d", name, got, c.code)
		}
		stop()
	}
	out, err := host.Run("cat", "/etc/resolv.conf")
	if err != nil || strings.Contains(string(out), "attempts:1 timeout:1") {
		t.Errorf("the host's own resolv.conf has changed: %s, %v", out, err)
	}
}

// TestResolveBy: whichever server a program at the site asks, the site's own answers.
func TestResolveBy(t *testing.T) {
	known := map[string][]netip.Addr{"www.example.net": {netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")}}
	for name, c := range map[string]struct {
		server lab.NameServer
		say    string // by getent; "" is no answer
	}{
		"well": {lab.NameServer{Names: known}, "192.0.2.7"},
		"slow": {lab.NameServer{Names: known, Delay: 50 * time.Millisecond}, "192.0.2.7"},
		"ill":  {lab.NameServer{Names: known, Code: lab.ServerFailure}, ""},
		"deaf": {lab.NameServer{Names: known, Silent: true}, ""},
		"none": {lab.NameServer{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := labtest.New(t)
			w := wan()
			w.Sites[0].Names = &c.server
			n := must(l.Build(w))(t)
			out, into, err := os.Pipe()
			check(t, err)
			command := exec.Command("getent", "ahosts", "www.example.net")
			command.Stdout = into
			check(t, n.Sites["syd"].StartResolving(command, "nameserver 10.255.255.53\noptions attempts:1 timeout:1\n"))
			into.Close()
			said := string(must(io.ReadAll(out))(t))
			command.Wait()
			if c.say == "" && said != "" || !strings.Contains(said, c.say) {
				t.Errorf("getent says %q; want %q", said, c.say)
			}
			if c.say != "" && !strings.Contains(said, "2001:db8::7") {
				t.Errorf("getent says %q; want the IPv6 address too", said)
			}
		})
	}
}

// TestStubAnswers: what the name server says is what it is told to say.
func TestStubAnswers(t *testing.T) {
	l := labtest.New(t)
	host := must(l.Node("host"))(t)
	stop := must(host.ServeNames(netip.MustParseAddrPort("127.0.0.53:53"), lab.NameServer{Code: lab.Refused, Truncated: true}))(t)
	defer stop()
	conn := must(host.Listen(netip.MustParseAddrPort("127.0.0.1:0")))(t)
	defer conn.Close()
	question := []byte{0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 0, 0, 1, 0, 1}
	must(conn.WriteTo(question, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 53), Port: 53}))(t)
	conn.SetReadDeadline(time.Now().Add(patience))
	answer := make([]byte, 100)
	length := must(conn.Read(answer))(t)
	if length != len(question) || answer[0] != 0xab || answer[2] != 0x83 || answer[3] != 0x85 {
		t.Errorf("answer % x; want the question with the bits of a response, truncated, refused", answer[:length])
	}
}

// TestLongNames: names that no device may have are cut, and stay different.
func TestLongNames(t *testing.T) {
	l := labtest.New(t)
	w := lab.WAN{Carriers: []string{"lo", "a-carrier-of-the-north", "a-carrier-of-the-south"}}
	for _, name := range []string{"a-site-of-the-north", "a-site-of-the-south"} {
		s := lab.Site{Name: name, NAT: true}
		for _, c := range w.Carriers {
			s.Lines = append(s.Lines, lab.SiteLine{Carrier: c})
		}
		w.Sites = append(w.Sites, s)
	}
	must(l.Build(w))(t)
}

// TestUnbuildable: unknown carriers, and addresses that leave no neighbouring one for the carrier, are errors.
func TestUnbuildable(t *testing.T) {
	for name, line := range map[string]lab.SiteLine{
		"unknown carrier": {Carrier: "b"},
		"address":         {Carrier: "a", Address: netip.MustParseAddr("10.0.0.1")},
	} {
		l := labtest.New(t)
		if _, err := l.Build(lab.WAN{Carriers: []string{"a"}, Sites: []lab.Site{{Name: "x", Lines: []lab.SiteLine{line}}}}); err == nil {
			t.Errorf("%s: built", name)
		}
	}
}

// BenchmarkWAN is how long five sites with two carriers take to stand.
func BenchmarkWAN(b *testing.B) {
	for b.Loop() {
		l := must(lab.New(lab.Options{}))(b)
		must(l.Build(wan()))(b)
		check(b, l.Close())
	}
}
