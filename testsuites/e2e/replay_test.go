package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/netpupper/netp"
)

// daemonsReplayedOrder is threats T9: whoever has recorded an order, signature and
// all, can say it again, and nothing comes of it.
func daemonsReplayedOrder(t *testing.T, d *deployment) {
	syd := d.agent("syd", d.token(), "-allow-endpoint", "127.0.0.1")
	d.await("syd", "ready")
	d.controller.terminate()
	w := d.takeOver()
	w.await("syd")
	o := w.startOrder("syd", "r1")
	o.Epoch, o.NotAfter = w.epoch, time.Now().Add(5*time.Second)
	o.Session = netp.Session{Addr: "s", Kind: "rtt", Path: netp.Path{Source: "syd", Dest: "127.0.0.1", Endpoint: true},
		Params: defaults(t, "rtt", netp.Params{"mode": "icmp", "duration": 0.2, "interval": 0.01})}
	for range 5 { // the same bytes each time: the signature is deterministic
		if reply, err := w.send(w.private, o, patience); err != nil || !reply.Accepted {
			t.Fatalf("the order itself: %+v, %v", reply, err)
		}
	}
	stored := func() []netp.Result {
		parts, err := w.store.Parts(t.Context(), "r1", "s")
		if err != nil {
			t.Fatal(err)
		}
		return parts
	}
	eventually(t, "the part is stored", func() bool { return len(stored()) == 1 })
	first := stored()[0].Started
	refused := func(why string) func() bool {
		return func() bool {
			reply, err := w.send(w.private, o, patience)
			return err == nil && !reply.Accepted && strings.Contains(reply.Failure.Detail, why)
		}
	}
	eventually(t, "the order is refused once its time is over", refused("ended at"))
	syd.kill()
	d.start(nil, "agent", "-data", d.path("syd"), "-listen", "127.0.0.1:0", "-allow-endpoint", "127.0.0.1")
	eventually(t, "a new start of the agent refuses it", refused("earlier start"))
	if parts := stored(); len(parts) != 1 || !parts[0].Started.Equal(first) {
		t.Errorf("the replayed order ran: %+v", parts)
	}
}
