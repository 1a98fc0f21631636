package rtt

import (
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/engine/rtt/stamp"
)

// refusingSocket fails to send.
type refusingSocket struct {
	silentSocket
	errno unix.Errno
}

func (s *refusingSocket) send([]byte, uint64) error {
	if s.errno != 0 {
		return s.errno
	}
	return nil
}

// TestNotSent: what this host could not send is no loss, and makes the loss doubtful, but that of the path's MTU: what it carried before and
// does not any more it loses.
func TestNotSent(t *testing.T) {
	for name, c := range map[string]struct {
		errno       unix.Errno
		lost, sound bool
	}{
		"line down": {unix.ENETUNREACH, false, false},
		"no buffer": {unix.ENOBUFS, false, false},
		"path MTU":  {unix.EMSGSIZE, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			j := job(t, netp.Params{"count": 200.0, "interval": 0.001})
			codec := stamp.Open()
			socket := new(refusingSocket)
			s := newSession(j, newSettings(j.Params), socket, newStamp(codec, codec, 0, 1, 1, false), loopback4)
			if err := s.prepare(); err != nil {
				t.Fatal(err)
			}
			for i := range uint64(200) {
				socket.errno = 0
				if i >= 198 {
					socket.errno = c.errno
				}
				s.probe(true)
				if socket.errno == 0 {
					s.ledger.answered(i, answer{rtt: ms, user: ms})
				}
			}
			socket.errno = c.errno
			s.probe(false) // the closing is nobody's loss
			s.ledger.finish()
			want := uint64(0)
			if c.lost {
				want = 2
			}
			if s.ledger.lost != want || s.ledger.sent != 198+want {
				t.Errorf("%d of %d lost, want %d", s.ledger.lost, s.ledger.sent, want)
			}
			r := netp.Result{Health: s.health()}
			check := find(r, "socket_errors")
			if check.OK != c.sound || !c.sound && (check.Value != 2 || !slices.Contains(check.Metrics, "loss")) {
				t.Errorf("check %+v", check)
			}
			if rate := find(r, "rate_achieved"); !rate.OK && s.pacer.Report().Moved < 5*time.Millisecond {
				t.Errorf("check %+v", rate)
			}
		})
	}
}

// TestNewsOfEarlierPackets: what routers and firewalls answer ends no session. IPv6 has EACCES for what a policy forbids.
func TestNewsOfEarlierPackets(t *testing.T) {
	for _, errno := range []unix.Errno{unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EPROTO, unix.EHOSTDOWN, unix.ENONET, unix.ENOPROTOOPT, unix.EOPNOTSUPP, unix.EACCES, unix.EMSGSIZE} {
		if got := explain(errno); got != errICMP {
			t.Errorf("%v: %v", errno, got)
		}
	}
}
