package port

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestRaw: the descriptor works with plain system calls, and a read ends by itself.
func TestRaw(t *testing.T) {
	p := listen(t, Config{Where: Where{Address: loopback}})
	s, keys := expect(t, p, 1)
	a, b := pair(t, p, s, keys, Options{})
	for from, to := range map[*Flow]*Flow{a: b, b: a} {
		fd, ok := to.Raw()
		if !ok {
			t.Fatal("no descriptor")
		}
		packet := make([]byte, 100)
		read := func() (int, error) { // as an engine does: packets of the set-up that come late, and signals, are nothing
			for {
				n, _, err := unix.Recvfrom(fd, packet, 0)
				if !errors.Is(err, unix.EINTR) && (err != nil || !to.Setup(packet[:n])) {
					return n, err
				}
			}
		}
		if _, err := read(); !errors.Is(err, unix.EAGAIN) {
			t.Errorf("reading nothing: %v; want EAGAIN after a while", err)
		}
		from.Write([]byte("raw"))
		n, err := read()
		if err != nil || string(packet[:n]) != "raw" {
			t.Errorf("read %q, %v", packet[:n], err)
		}
		if to.UDP != nil {
			t.Error("the socket is in the runtime's poller, too")
		}
		if again, ok := to.Raw(); !ok || again != fd {
			t.Errorf("the second call gives %d, %v; the first %d", again, ok, fd)
		}
	}
	for _, f := range []*Flow{a, b} {
		fd, _ := f.Raw()
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if _, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); !errors.Is(err, unix.EBADF) {
			t.Errorf("after Close the socket answers %v; want EBADF", err)
		}
	}
	shared := listen(t, Config{Where: Where{Address: loopback}, portable: true})
	s, keys = expect(t, shared, 1)
	_, b = pair(t, shared, s, keys, Options{})
	if _, ok := b.Raw(); ok || b.UDP != nil {
		t.Error("a flow that shares a socket gives a descriptor")
	}
}

// TestHelloAfterTheHandover: a hello that waited in the port's socket until an engine had the flow leaves it alone.
func TestHelloAfterTheHandover(t *testing.T) {
	p := listen(t, Config{Where: Where{Address: loopback}})
	s, keys := expect(t, p, 1)
	a, b := pair(t, p, s, keys, Options{})
	defer a.Close()
	defer b.Close()
	if _, ok := b.Raw(); !ok {
		t.Fatal("no descriptor")
	}
	before := p.counters.answers.Load()
	p.receiveUDP(p.udp[0], b.hello[:], nil, b.Remote)
	if answers := p.counters.answers.Load() - before; answers != 0 {
		t.Errorf("answered %d times from a socket that is its owner's", answers)
	}
}

// TestOptionsReachTheSocket: DSCP and the caller's options are set at both ends, before the first packet.
func TestOptionsReachTheSocket(t *testing.T) {
	p := listen(t, Config{Where: Where{Address: loopback}})
	keys := DeriveKeys([]byte("secret"), 1)
	var responder []string
	s, err := p.Expect(Expectation{ID: 1, Keys: keys, Until: time.Now().Add(time.Minute), Control: func(fd uintptr, network string) error {
		responder = append(responder, network)
		return SetDSCP(fd, network, 10)
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var initiator []string
	o := Options{DSCP: 46, Control: func(_ uintptr, network string) error {
		initiator = append(initiator, network)
		return nil
	}}
	a, b := pair(t, p, s, keys, o)
	c, err := Dialer{}.DialTCP(deadlined(t), p.Addr(), 1, keys, o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	d, err := s.AcceptTCP(deadlined(t))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if got := fmt.Sprint(initiator, responder); got != "[udp4 tcp4] [udp4 tcp4]" {
		t.Errorf("options were set for %v", got)
	}
	for _, f := range []struct {
		flow *Flow
		want int
	}{{a, 46 << 2}, {b, 10 << 2}} {
		fd, _ := f.flow.Raw()
		if got, err := unix.GetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS); err != nil || got != f.want {
			t.Errorf("type of service is %d, %v; want %d", got, err, f.want)
		}
	}
	for _, f := range []struct {
		conn *Conn
		want int
	}{{c, 46 << 2}, {d, 10 << 2}} {
		raw, err := f.conn.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) {
			if got, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS); err != nil || got != f.want {
				t.Errorf("type of service is %d, %v; want %d", got, err, f.want)
			}
			if got, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT); err != nil || got != 10_000 {
				t.Errorf("user timeout is %d, %v; want 10000", got, err)
			}
		})
	}
	if _, err := (Dialer{}).DialUDP(t.Context(), p.Addr(), 1, keys, Options{DSCP: 64}); err == nil {
		t.Error("dscp 64 was set")
	}
}

// namespace makes a network namespace with its loopback up, for the time of the test.
func namespace(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root (CAP_SYS_ADMIN); run the test as root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("network namespaces are made with the ip command (package iproute2), which is not installed")
	}
	name := fmt.Sprintf("netp-port-%d-%d", os.Getpid(), time.Now().UnixNano()%1e6)
	command(t, "ip", "netns", "add", name)
	t.Cleanup(func() { command(t, "ip", "netns", "del", name) })
	command(t, "ip", "-n", name, "link", "set", "lo", "up")
	return name
}

func command(t *testing.T, words ...string) {
	t.Helper()
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(words, " "), err, out)
	}
}

// TestNetworkNamespace: all sockets of a port and of a dialer live in the namespace that they name, and only there.
func TestNetworkNamespace(t *testing.T) {
	name := namespace(t)
	inside := Where{Address: loopback, Netns: name}
	p := listen(t, Config{Where: inside})
	s, keys := expect(t, p, 1)
	ctx := deadlined(t)
	for range 5 { // more than one: threads come back from the namespace
		a, err := Dialer{Where: inside}.DialUDP(ctx, p.Addr(), 1, keys, Options{Stream: 1})
		if err != nil {
			t.Fatal(err)
		}
		b, err := s.AcceptUDP(ctx)
		if err != nil {
			t.Fatal(err)
		}
		echo(t, a, b, "there")
		echo(t, b, a, "back")
		c, err := Dialer{Where: inside}.DialTCP(ctx, p.Addr(), 1, keys, Options{Stream: 1})
		if err != nil {
			t.Fatal(err)
		}
		d, err := s.AcceptTCP(ctx)
		if err != nil {
			t.Fatal(err)
		}
		a.Close()
		b.Close()
		c.Close()
		d.Close()
	}
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	if c, err := (Dialer{}).DialTCP(short, p.Addr(), 1, keys, Options{Stream: 2}); err == nil {
		c.Close()
		t.Error("the port of the namespace can be reached from outside")
	}
	var u *Unreachable
	_, err := Dialer{Where: Where{Netns: name}}.DialUDP(ctx, netip.MustParseAddrPort("192.0.2.1:9"), 1, keys, Options{})
	if !errors.As(err, &u) || u.Cause != Unroutable || !strings.Contains(u.Error(), "cannot be reached from here") {
		t.Errorf("without a route: %v; want %q", err, Unroutable)
	}
	plain, err := Dialer{Where: inside}.Dial(ctx, "tcp", p.Addr().String(), nil)
	if err != nil {
		t.Fatalf("plain socket in the namespace: %v", err)
	}
	plain.Close()
}

// TestFirewall: a firewall that drops the data port is told from an agent that is not there.
func TestFirewall(t *testing.T) {
	name := namespace(t)
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("the firewall is made with the nft command (package nftables), which is not installed")
	}
	command(t, "ip", "netns", "exec", name, "nft",
		"add table ip t; add chain ip t in { type filter hook input priority 0; }; add rule ip t in meta l4proto { tcp, udp } th dport 8620 drop")
	inside := Dialer{Where: Where{Netns: name}}
	peer := netip.MustParseAddrPort("127.0.0.1:8620")
	for network, dial := range map[string]func(context.Context) error{
		"tcp": func(ctx context.Context) error { _, err := inside.DialTCP(ctx, peer, 1, Keys{}, Options{}); return err },
		"udp": func(ctx context.Context) error { _, err := inside.DialUDP(ctx, peer, 1, Keys{}, Options{}); return err },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
		err := dial(ctx)
		cancel()
		var u *Unreachable
		if !errors.As(err, &u) || u.Cause != Silent || u.Network != network || !strings.Contains(err.Error(), "firewall") {
			t.Errorf("%s: got %v; want silence and the firewall named", network, err)
		}
	}
}

func TestMissingPlaces(t *testing.T) {
	for name, c := range map[string]struct {
		where Where
		text  string
	}{
		"namespace": {Where{Netns: "no-such-namespace"}, "does not exist"},
		"file":      {Where{Netns: "/dev/null"}, "is not a network namespace"},
		"device":    {Where{Address: loopback, Device: "nosuchdev0"}, "does not exist"},
	} {
		if os.Geteuid() != 0 && name == "file" {
			continue // without root the kernel says EPERM first
		}
		if _, err := Listen(Config{Where: c.where}); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: listen says %v; want %q", name, err, c.text)
		}
		_, err := Dialer{Where: c.where}.DialUDP(t.Context(), netip.MustParseAddrPort("127.0.0.1:9"), 1, Keys{}, Options{})
		if err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: dial says %v; want %q", name, err, c.text)
		}
	}
}

// TestSettlesAtTheLastMoment: a hello that is repeated just when the silence after the one before it ends keeps the flow.
func TestSettlesAtTheLastMoment(t *testing.T) {
	peer, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)))
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	conn, err := net.DialUDP("udp4", nil, peer.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	h := newHello(overUDP, 1, Options{})
	sign := NewTagger(DeriveKeys([]byte("secret"), 1).Initiator)
	f := &Flow{
		UDP: conn, Remote: addrPort(peer.LocalAddr()), nonce: h.nonce, session: h.session, respond: true, counters: new(counters),
		hello: h.encode(sign), ack: h.answer(kindAck, 0).encode(sign),
	}
	defer f.Close()
	for _, packet := range [][setupSize]byte{f.hello, h.answer(kindConfirm, 0).encode(sign)} {
		if _, err := peer.WriteToUDPAddrPort(packet[:], addrPort(conn.LocalAddr())); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	looks := 0 // at each packet two: the second takes it
	err = f.settleBy(func(try func(fd uintptr) bool) error {
		if looks++; looks%2 == 1 {
			conn.SetReadDeadline(time.Now().Add(patience)) // also when the machine stops for longer than the silence
		}
		err := raw.Read(try)
		conn.SetReadDeadline(time.Unix(1, 0)) // the time passes right after the packet was seen
		return err
	})
	if answers := f.counters.answers.Load(); err != nil || answers != 1 {
		t.Errorf("the wait for the initiator ended with %v after %d answers; want 1 and no error", err, answers)
	}
}

// TestRoomFromTheStart: what arrives before an engine has the flow waits for it.
func TestRoomFromTheStart(t *testing.T) {
	const packets, size = 8, 64_000
	p := listen(t, Config{Where: Where{Address: loopback}})
	s, keys := expect(t, p, 1)
	a, b := pair(t, p, s, keys, Options{})
	defer a.Close()
	defer b.Close()
	if room := mostRoom(t); room < 4*packets*size { // the kernel counts what a packet takes, up to twice its size and more
		t.Skipf("a socket of this user holds %d bytes; run as root, or raise net.core.rmem_max to %d", room, 2*packets*size)
	}
	for range packets {
		if _, err := a.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	b.SetReadDeadline(time.Now().Add(patience))
	packet := make([]byte, size+1)
	for i := range packets {
		if n, err := b.Read(packet); err != nil || n != size {
			t.Fatalf("packet %d: %d bytes, %v", i, n, err)
		}
	}
}

// mostRoom is how much may wait in a socket of the process at most.
func mostRoom(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	SetReceiveBuffer(fd, ReceiveBuffer)
	room, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil {
		t.Fatal(err)
	}
	return room
}
