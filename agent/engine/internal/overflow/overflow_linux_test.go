package overflow

import (
	"encoding/binary"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestLate: packets with a wrong checksum are none that came too many, also where they are told in one number with those, and where the
// socket is in another network namespace than the program.
func TestLate(t *testing.T) {
	fd, raw := inNamespace(t)
	receiver, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	to := receiver.(*unix.SockaddrInet4)
	send := func(n int, sum uint16) {
		for range n {
			packet := make([]byte, 1000) // with a short one the checksum would be looked at before the socket is
			binary.BigEndian.PutUint16(packet, 9)
			binary.BigEndian.PutUint16(packet[2:], uint16(to.Port))
			binary.BigEndian.PutUint16(packet[4:], uint16(len(packet)))
			binary.BigEndian.PutUint16(packet[6:], sum) // 0 is none
			if err := unix.Sendto(raw, packet, 0, &unix.SockaddrInet4{Addr: to.Addr}); err != nil {
				t.Fatal(err)
			}
		}
	}
	mark := Before(fd)
	if !mark.known {
		t.Fatal("the counters cannot be read")
	}
	lasting(t)
	const damaged = 7
	send(damaged, 1)
	for range damaged { // that they are damaged is found when they are read
		if n, _, err := unix.Recvfrom(fd, make([]byte, 2000), unix.MSG_DONTWAIT); err != unix.EAGAIN {
			t.Fatalf("read %d bytes of a damaged packet, %v", n, err)
		}
	}
	if n := dropped(t, fd, damaged); n != damaged || mark.Late(fd, n) != 0 {
		t.Errorf("%d damaged packets: the socket dropped %d, of which %d late", damaged, n, mark.Late(fd, n))
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 8<<10); err != nil {
		t.Fatal(err)
	}
	send(100, 0)
	n := dropped(t, fd, damaged+1)
	if late := mark.Late(fd, n); n < 50 || late != n-damaged {
		t.Errorf("the socket dropped %d packets, %d of them damaged: %d late", n, damaged, late)
	}
	if later := Before(fd); later != mark {
		t.Error("a mark of the same second is made anew")
	}
	if late := (Mark{}).Late(fd, n); late != n {
		t.Errorf("without a mark %d of %d dropped packets are late", late, n)
	}
}

// lasting keeps the marks that there are until the test ends: the machine may stop for longer than they are fresh.
func lasting(t *testing.T) {
	marks.Lock()
	defer marks.Unlock()
	for id, m := range marks.of {
		m.at = m.at.Add(time.Hour)
		marks.of[id] = m
	}
	t.Cleanup(func() { clear(marks.of) })
}

// inNamespace opens a UDP socket and a raw one on the loopback of a namespace of their own.
func inNamespace(t *testing.T) (fd, raw int) {
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root (CAP_SYS_ADMIN, CAP_NET_ADMIN)")
	}
	var err error
	done := make(chan struct{})
	go func() { // the thread stays in the namespace, and ends with its goroutine
		defer close(done)
		runtime.LockOSThread()
		if err = unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return
		}
		var lo netlink.Link
		if lo, err = netlink.LinkByName("lo"); err != nil {
			return
		}
		if err = netlink.LinkSetUp(lo); err != nil {
			return
		}
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return
		}
		if err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte(net.IPv4(127, 0, 0, 1).To4())}); err != nil {
			return
		}
		raw, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
	}()
	<-done
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd); unix.Close(raw) })
	return fd, raw
}

// dropped is how many packets a socket has dropped, once there are so many.
func dropped(t *testing.T, fd int, least uint64) uint64 {
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		const drops = 8 // SK_MEMINFO_DROPS
		var memory [drops + 1]uint32
		size := uint32(unsafe.Sizeof(memory))
		if _, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO, uintptr(unsafe.Pointer(&memory)), uintptr(unsafe.Pointer(&size)), 0); errno != 0 {
			t.Fatal(errno)
		}
		if n := uint64(memory[drops]); n >= least {
			return n
		} else if time.Now().After(end) {
			t.Fatalf("the socket dropped %d packets, want %d", n, least)
		}
	}
}

func TestOfTables(t *testing.T) {
	for text, want := range map[string]uint64{
		"Udp: InDatagrams RcvbufErrors InCsumErrors MemErrors\nUdp: 1000 20 300 4\nUdpLite: RcvbufErrors\nUdpLite: 7\n": 24,
		"Ip: Forwarding\nIp: 1\nUdp: InDatagrams RcvbufErrors\nUdp: 1000 20\n":                                          20,
	} {
		if n, err := ofIPv4(strings.NewReader(text)); n != want || err != nil {
			t.Errorf("%q: %d, %v", text, n, err)
		}
	}
	for _, text := range []string{"", "Udp: InDatagrams\nUdp: 1000\n", "Udp: RcvbufErrors\n", "Udp: RcvbufErrors\nUdp: x\n"} {
		if n, err := ofIPv4(strings.NewReader(text)); err == nil {
			t.Errorf("%q: %d without an error", text, n)
		}
	}
	if n, err := ofIPv6(strings.NewReader("Ip6InReceives 9\nUdp6InErrors 3\nUdp6RcvbufErrors 20\nUdp6InCsumErrors 300\nUdp6MemErrors 4\n")); n != 24 || err != nil {
		t.Errorf("IPv6: %d, %v", n, err)
	}
}
