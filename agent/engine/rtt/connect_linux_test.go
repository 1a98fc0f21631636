package rtt

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// TestWitness: of a handshake whose connection was reset before anybody looked, the kernel still tells.
func TestWitness(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var w witness
	defer w.close()
	w.see(uintptr(fd))
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: listener.Addr().(*net.TCPAddr).Port, Addr: loopback4.As4()}); err != nil {
		t.Fatal(err)
	}
	c, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
	if _, err := unix.Read(fd, make([]byte, 1)); err != unix.ECONNRESET || !stood(err) {
		t.Fatalf("%v, want a reset", err)
	}
	unix.Close(fd)
	if nanos, again, ok := w.handshake(); nanos <= 0 || again || !ok {
		t.Errorf("%d ns, again %v, %v; want the time of the handshake", nanos, again, ok)
	}
}
