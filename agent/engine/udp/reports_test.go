package udp

import (
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/port"
)

// box is a socket that keeps what is sent and gives nothing.
type box struct {
	socket
	sent [][]byte
}

func (b *box) send(packet []byte, _ uint64) error {
	b.sent = append(b.sent, append([]byte(nil), packet...))
	return nil
}

func (b *box) read(int64) ([]datagram, error) { return nil, nil }

// TestReportsAreSeldom: the receiver of a slow stream reports less often as long as hardly a packet is lost and the sender misses no
// report, and as often as ever for some time after it missed one. One of a fast stream always does.
func TestReportsAreSeldom(t *testing.T) {
	const start = int64(time.Hour)
	for _, c := range []struct {
		name    string
		rate    string
		missed  time.Duration // ago; 0 for never
		missing uint64        // of a thousand packets
		want    time.Duration
	}{
		{name: "all is well", rate: "50pps", want: reportSeldom},
		{name: "a report was missed lately", rate: "50pps", missed: seldomAfter, want: reportEvery},
		{name: "a report was missed long ago", rate: "50pps", missed: seldomAfter + 1, want: reportSeldom},
		{name: "few packets are lost", rate: "50pps", missing: 10, want: reportSeldom},
		{name: "packets are lost", rate: "50pps", missing: 11, want: reportEvery},
		{name: "fast stream", rate: "5000pps", want: reportEvery},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &receiver{set: newSettings(netp.Params{"rate": c.rate}), state: stateReceiving, reached: 1000, came: 1000 - c.missing}
			if c.missed > 0 {
				r.missed = start - int64(c.missed)
			}
			if got := r.pause(start); got != c.want {
				t.Errorf("the next report is due in %v; want %v", got, c.want)
			}
		})
	}
}

// TestMissedReports: a sender that misses a report says so, though it was not asked, and not at each look; the receiver notes it.
func TestMissedReports(t *testing.T) {
	keys := port.DeriveKeys([]byte("a session"), 1)
	set := newSettings(netp.Params{"rate": "50pps"})
	b := new(box)
	now := clock.Mono()
	x := &sender{
		set: set, sock: b, clock: new(clock.Clock), sign: port.NewTagger(keys.Initiator), tracer: newTracer(now, tellAfter),
		arrived: now, spacing: int64(reportSeldom), complained: now - int64(reportEvery),
	}
	x.look()
	if len(b.sent) != 0 {
		t.Fatalf("%d packets sent before a report was due", len(b.sent))
	}
	x.arrived -= 2 * x.spacing
	x.look()
	x.look()
	if len(b.sent) != 1 {
		t.Fatalf("%d packets sent when a report was missed; want one", len(b.sent))
	}
	r := &receiver{clock: x.clock, flow: new(port.Flow), check: port.NewTagger(keys.Initiator), state: stateReceiving}
	r.control(b.sent[0], time.Now().UnixNano())
	if r.missed == 0 || r.exchanges != 0 {
		t.Errorf("missed %d, %d exchanges of stamps; want it noted, and none", r.missed, r.exchanges)
	}
}
