package tcp

import (
	"net"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/netpupper/netp"
)

// systemWays are those that are not the fastest of every Linux.
var systemWays = []way{
	{"copying", func(c *net.TCPConn, _ []byte) (source, error) { return openRaw(c, unix.MSG_NOSIGNAL) }, openSink},
	{"on one host", func(c *net.TCPConn, pattern []byte) (source, error) { return openSource(c, pattern, true) }, openNeighbour},
}

// TestDecodeOfOlderKernels has the lengths that older kernels answered.
func TestDecodeOfOlderKernels(t *testing.T) {
	info := unix.TCPInfo{Rtt: 1500, Total_retrans: 3, Snd_cwnd: 10, Snd_mss: 1448, Pmtu: 1500, Min_rtt: 900, Notsent_bytes: 7, Delivery_rate: 1000,
		Busy_time: 5, Rwnd_limited: 2, Sndbuf_limited: 1, Bytes_sent: 100, Bytes_retrans: 4}
	for _, c := range []struct {
		kernel         string
		length         uintptr
		min            time.Duration
		limits, counts bool
	}{
		{"3.10", 104, 0, false, false},
		{"4.9", 160, 900 * time.Microsecond, false, false},
		{"4.15", 192, 900 * time.Microsecond, true, false},
		{"now", unsafe.Sizeof(info), 900 * time.Microsecond, true, true},
	} {
		f := decode(&info, c.length)
		if !f.known || f.rtt != 1500*time.Microsecond || f.retransmits != 3 || f.window != 14480 {
			t.Errorf("%s: %+v", c.kernel, f)
		}
		if f.minRTT != c.min || f.limits != c.limits || f.counts != c.counts {
			t.Errorf("%s: min %v, limits %v, counts %v", c.kernel, f.minRTT, f.limits, f.counts)
		}
	}
	if decode(&info, 40).known {
		t.Error("a stump of TCP_INFO is taken for one")
	}
}

// TestOneHost plays whole sessions of streams that may share a processor.
func TestOneHost(t *testing.T) {
	for _, direction := range []string{"forward", "reverse"} {
		for _, receive := range []string{"copy", "discard"} {
			p := newPair(t, netp.Params{"duration": 0.5, "congestion": "cubic", "direction": direction, "receive": receive})
			consistent(t, p.merged(), "throughput", 5)
		}
	}
	p := newPair(t, netp.Params{"duration": 5., "bytes": 50e6, "congestion": "cubic"})
	if r := p.merged(); r.Facts["bytes"] != "50000000" {
		t.Errorf("%s bytes arrived of 50000000", r.Facts["bytes"])
	}
}
