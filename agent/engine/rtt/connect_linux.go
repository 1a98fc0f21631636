package rtt

import (
	"net"

	"golang.org/x/sys/unix"
)

// handshake asks the kernel how long the handshake of a fresh connection took, SYN to SYN+ACK, and whether a SYN had to be sent
// again.
func handshake(c net.Conn) (nanos int64, again, ok bool) {
	tcp, is := c.(*net.TCPConn)
	if !is {
		return 0, false, false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0, false, false
	}
	var info *unix.TCPInfo
	if raw.Control(func(fd uintptr) {
		info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	}) != nil || err != nil {
		return 0, false, false
	}
	return int64(info.Rtt) * 1000, info.Total_retrans > 0, info.Rtt > 0
}
