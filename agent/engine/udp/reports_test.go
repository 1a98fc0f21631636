package udp

import (
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/port"
)

// deaf is a socket that takes what is sent and gives nothing.
type deaf struct{ socket }

func (deaf) send([]byte, uint64) error { return nil }

// TestReportsAreSeldom: the receiver of a slow stream reports less often as long as each echo comes and hardly a packet is lost, and as
// often as ever for some time after one did not come. One of a fast stream always does.
func TestReportsAreSeldom(t *testing.T) {
	const start = int64(time.Hour)
	for _, c := range []struct {
		name     string
		rate     string
		unheard  time.Duration // begin with an echo that does not come, so long ago; 0 for none
		answered bool          // the last one has come
		missing  uint64        // of a thousand packets
		want     time.Duration
	}{
		{name: "all echoes came", rate: "50pps", answered: true, want: reportSeldom},
		{name: "one does not come", rate: "50pps", want: reportEvery},
		{name: "one did not come lately", rate: "50pps", unheard: seldomAfter / 2, answered: true, want: reportEvery},
		{name: "one did not come long ago", rate: "50pps", unheard: 2 * seldomAfter, answered: true, want: reportSeldom},
		{name: "few packets are lost", rate: "50pps", answered: true, missing: 10, want: reportSeldom},
		{name: "packets are lost", rate: "50pps", answered: true, missing: 11, want: reportEvery},
		{name: "fast stream", rate: "5000pps", answered: true, want: reportEvery},
	} {
		t.Run(c.name, func(t *testing.T) {
			set := newSettings(netp.Params{"rate": c.rate})
			r := &receiver{
				set: set, sock: deaf{}, clock: new(clock.Clock), sign: port.NewTagger([32]byte{}), state: stateReceiving,
				track: &track{highest: 1000, received: 1000 - c.missing}, collector: newCollector(set, true),
			}
			if c.unheard > 0 {
				r.report(start - int64(c.unheard))
				r.report(start - int64(c.unheard) + int64(reportEvery))
				r.awaited = false
			}
			r.report(start)
			r.awaited = r.awaited && !c.answered
			r.report(start + int64(reportEvery))
			if got := time.Duration(r.due-start) - reportEvery; got != c.want {
				t.Errorf("the next report is due in %v; want %v", got, c.want)
			}
		})
	}
}
