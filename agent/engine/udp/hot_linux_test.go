package udp

import (
	"testing"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
)

// BenchmarkSuperPacket is the cost of a packet of a flood, both ends and the kernel together, in one goroutine.
func BenchmarkSuperPacket(b *testing.B) {
	x, r := hotPair(b, netp.Params{"rate": "0", "duration": 10_000.0, "size": 64.0})
	pieces := x.super()
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += x.segments {
		if err := x.burst(clock.Mono(), pieces); err != nil {
			b.Fatal(err)
		}
		r.sock.(*rawSocket).busy = false // nobody else sends: waiting for more would be in vain
		r.readOnce(b)
		if x.segments == 0 {
			b.Skip("no segmentation offload here")
		}
	}
}
