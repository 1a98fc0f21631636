package rtt

import "golang.org/x/sys/unix"

// witness holds on to the socket of a handshake. When the other end resets the connection as soon as it stands, connecting fails and the
// socket is closed; the kernel still knows of the handshake.
type witness struct {
	fd   int
	kept bool
}

// see takes the socket that is about to be connected.
func (w *witness) see(socket uintptr) {
	w.close()
	if fd, err := unix.FcntlInt(socket, unix.F_DUPFD_CLOEXEC, 0); err == nil {
		w.fd, w.kept = fd, true
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1)
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1)
	}
}

// undelivered asks the kernel whether the network said by ICMP that the SYN cannot be delivered.
func (w *witness) undelivered() bool {
	if !w.kept {
		return false
	}
	var control [256]byte
	_, n, _, _, err := unix.Recvmsg(w.fd, nil, control[:], unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
	return err == nil && n > 0
}

// handshake asks the kernel how long the handshake took, SYN to SYN+ACK, and whether a SYN had to be sent again.
func (w *witness) handshake() (nanos int64, again, ok bool) {
	if !w.kept {
		return 0, false, false
	}
	info, err := unix.GetsockoptTCPInfo(w.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0, false, false
	}
	return int64(info.Rtt) * 1000, info.Total_retrans > 0, info.Rtt > 0
}

func (w *witness) close() {
	if w.kept {
		_ = unix.Close(w.fd)
	}
	w.kept = false
}
