package tcp

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/netpupper/netp"
)

// Where the host says which congestion controls it has, and which of them need no privilege.
const (
	availableControls = "/proc/sys/net/ipv4/tcp_available_congestion_control"
	allowedControls   = "/proc/sys/net/ipv4/tcp_allowed_congestion_control"
)

// setCongestion chooses the congestion control of the socket. Its errors are of type *netp.Failure.
func setCongestion(fd uintptr, name string) error {
	err := unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, name)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOENT):
		return failure(netp.FailureUnsupported, "The sending host has no congestion control %q; it has: %s. Take one of these, or load the module: modprobe tcp_%s.", name, words(availableControls), name)
	case errors.Is(err, unix.EPERM):
		return failure(netp.FailurePermission, "The sending host allows the congestion control %q only to root; without privilege it allows: %s. Add it there: sysctl -w net.ipv4.tcp_allowed_congestion_control=\"%s %s\".",
			name, words(allowedControls), words(allowedControls), name)
	}
	return failure(netp.FailureUnsupported, "The sending host refuses the congestion control %q: %v.", name, err)
}

// words reads a file of words in one line.
func words(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return "(unknown)"
	}
	return strings.Join(strings.Fields(string(b)), " ")
}

// setMSS bounds the segments of both directions; before the socket is connected. Its errors are of type *netp.Failure.
func setMSS(fd uintptr, size int) error {
	if err := unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, size); err != nil {
		return failure(netp.FailureUnsupported, "The host of the initiator refuses an mss of %d bytes: %v. Linux takes 88 to 32767.", size, err)
	}
	return nil
}

// smooth tells the kernel to send no burst faster than rate [B/s]; it reports whether it will.
func smooth(fd uintptr, rate float64) bool {
	if rate >= 1<<32-1 { // 34 Gbit/s: more than the option carries in 32 bits
		return false
	}
	return unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE, int(rate)) == nil
}

// setThin keeps the control connection quick after losses, by repeating without backing off, and after outages, by repeating each second at
// least (Linux 6.15); a host that cannot is only slower.
func setThin(fd uintptr) {
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_THIN_LINEAR_TIMEOUTS, 1)
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_RTO_MAX_MS, int(holdAfter.Milliseconds()))
}

// congestionOf reads back what the socket uses.
func congestionOf(fd uintptr) string {
	name, err := unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION)
	if err != nil {
		return ""
	}
	return name
}

// buffersOf reads the effective sizes of the buffers [B]; 0 when unknown.
func buffersOf(fd uintptr) (send, receive int) {
	send, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF)
	receive, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
	return send, receive
}

// figuresOf reads TCP_INFO; known is false when the host has none.
func figuresOf(fd uintptr) figures {
	var info unix.TCPInfo
	length := uint32(unsafe.Sizeof(info))
	_, _, errno := syscall.RawSyscall6(unix.SYS_GETSOCKOPT, fd, unix.IPPROTO_TCP, unix.TCP_INFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&length)), 0)
	if errno != 0 {
		return figures{}
	}
	return decode(&info, uintptr(length))
}

// decode reads the fields that the kernel filled in: an older one knows fewer and says so by the length.
func decode(info *unix.TCPInfo, length uintptr) figures {
	f := figures{
		known:       length >= unsafe.Offsetof(info.Pacing_rate),
		rtt:         time.Duration(info.Rtt) * time.Microsecond,
		retransmits: uint64(info.Total_retrans),
		window:      uint64(info.Snd_cwnd) * uint64(info.Snd_mss),
		payload:     int(info.Snd_mss),
		packet:      int(info.Pmtu),
	}
	if length >= unsafe.Offsetof(info.Data_segs_in) {
		f.minRTT = time.Duration(info.Min_rtt) * time.Microsecond
		f.queued = uint64(info.Notsent_bytes) + uint64(info.Unacked)
	}
	if length >= unsafe.Offsetof(info.Busy_time) {
		f.delivery = float64(info.Delivery_rate) * 8
	}
	if f.limits = length >= unsafe.Offsetof(info.Delivered); f.limits {
		f.busy = time.Duration(info.Busy_time) * time.Microsecond
		f.rwnd = time.Duration(info.Rwnd_limited) * time.Microsecond
		f.sndbuf = time.Duration(info.Sndbuf_limited) * time.Microsecond
	}
	if f.counts = length >= unsafe.Offsetof(info.Dsack_dups); f.counts {
		f.sent, f.resent = info.Bytes_sent, info.Bytes_retrans
	}
	return f
}
