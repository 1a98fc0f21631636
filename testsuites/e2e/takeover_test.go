package e2e

import (
	"crypto/ed25519"
	"crypto/x509"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent"
	"github.com/netpupper/netp/agent/wire"
	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/runner/bus"
	"github.com/netpupper/netp/runner/enrol"
	"github.com/netpupper/netp/runner/store"
)

// daemonsSessions stops the controller, takes its place with its directory, and
// orders sessions: agents trust it for its keys, not for its process.
func daemonsSessions(t *testing.T, d *deployment) {
	d.agent("syd", d.token(), "-max-rate", "1Mbps", "-max-duration", "5s")
	d.agent("mel", d.token())
	d.agent("bne", d.token(), "-allow-peer", "192.0.2.0/24")
	for _, name := range []netp.AgentID{"syd", "mel", "bne"} {
		d.await(name, "ready")
	}
	if code := d.controller.terminate(); code != 0 {
		t.Fatalf("the stopped controller exits with %d", code)
	}
	w := d.takeOver()
	w.await("syd", "mel", "bne")
	quick := netp.Params{"count": 50.0, "interval": 0.01}
	r := only(t, w.run(t.Context(), makePlan(session{from: "syd", to: "mel", kind: "rtt", params: defaults(t, "rtt", quick), asserts: about("rtt.p50", "rtt.p50 <= 1 * s")}), nil))
	if d := r.Result.Metrics["rtt"].Distribution; !r.Result.Completed || d == nil || d.All.Count() == 0 || r.Status == netp.Fail || r.Status == netp.Errored {
		t.Errorf("rtt: %s, %v, judged %+v", r.Status, r.Result.Failure, r.Judgements)
	}
	for _, c := range []struct {
		name, from, to, why string
		kind                netp.Kind
		params              netp.Params
	}{
		{"rate", "syd", "mel", "at most 1 Mbit/s", "udp", netp.Params{"rate": "2000000bps", "duration": 1.0}},
		{"duration", "syd", "mel", "no session longer than 5 s", "rtt", netp.Params{"duration": 6.0}},
		{"peer", "bne", "mel", "-allow-peer", "rtt", quick},
	} {
		r := only(t, w.run(t.Context(), makePlan(session{from: netp.AgentID(c.from), to: netp.AgentID(c.to), kind: c.kind, params: defaults(t, c.kind, c.params)}), nil))
		if f := r.Result.Failure; f == nil || f.Kind != netp.FailureRefused || !strings.Contains(f.Detail, c.why) || f.Agent != netp.AgentID(c.from) {
			t.Errorf("%s: %+v, want a refusal by %s that says %q", c.name, f, c.from, c.why)
		}
	}
	r = only(t, w.run(t.Context(), makePlan(session{from: "mel", to: "bne", kind: "rtt", params: defaults(t, "rtt", quick), timeout: 20 * time.Second}), nil))
	if r.Result.Completed || r.Status == netp.Pass {
		t.Errorf("bne answered a peer it does not allow: %s", r.Status)
	}
}

// daemonsReplayedOrder is threats T9: whoever has recorded an order, signature and
// all, can say it again, and nothing comes of it.
func daemonsReplayedOrder(t *testing.T, d *deployment) {
	syd := d.agent("syd", d.token(), "-allow-endpoint", "127.0.0.1")
	d.await("syd", "ready")
	d.controller.terminate()
	w := d.takeOver()
	w.await("syd")
	o := w.startOrder("syd", "r1")
	o.Epoch, o.NotAfter = w.epoch, time.Now().Add(10*time.Second)
	o.Session = netp.Session{Addr: "s", Kind: "rtt", Path: netp.Path{Source: "syd", Dest: "127.0.0.1", Endpoint: true},
		Params: defaults(t, "rtt", netp.Params{"mode": "icmp", "count": 20.0, "interval": 0.01})}
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

// takeOver is a controller in this process with the directory and addresses of the
// one that stopped.
func (d *deployment) takeOver() *world {
	t := d.t
	t.Helper()
	w := &world{t: t, logger: slog.New(slog.NewTextHandler(testLog{t}, nil))}
	authority, err := enrol.Open(enrol.Options{Dir: d.path("controller"), Bus: []string{d.bus}, Controllers: []string{d.http}})
	if err != nil {
		t.Fatal(err)
	}
	w.private = authority.OrderKey()
	w.public = w.private.Public().(ed25519.PublicKey)
	w.server, err = bus.Start(bus.Config{Dir: filepath.Join(d.path("controller"), "bus"), Listen: d.bus, TLS: authority.BusTLS(), Logger: w.logger,
		Admit: func(c *x509.Certificate) (bus.Guest, error) {
			id, err := authority.Admit(c)
			publish, subscribe := wire.AgentSubjects(id)
			return bus.Guest{Name: string(id), Publish: publish, Subscribe: subscribe}, err
		}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.server.Close() })
	queues, err := bus.Open(t.Context(), bus.Options{Server: w.server, Results: wire.PartSubjects, Lease: runner.DefaultLease})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(queues.Close)
	conn, err := wire.Connect(wire.Options{InProcess: w.server, Name: "controller"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if w.store, err = store.Open(t.Context(), filepath.Join(d.path("controller"), "netp.db"), nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.store.Close() })
	if w.epoch, err = authority.NextEpoch(); err != nil {
		t.Fatal(err)
	}
	w.runner, err = runner.New(runner.Config{Bus: queues, Conn: conn, Store: w.store, Key: w.private, Epoch: w.epoch, Catalogue: agent.Catalogue(), Logger: w.logger})
	if err != nil {
		t.Fatal(err)
	}
	w.background(w.runner.Serve)
	return w
}
