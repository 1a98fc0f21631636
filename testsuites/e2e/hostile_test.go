package e2e

import (
	"context"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/engine"
	"github.com/netpupper/netp/agent/wire"
	"github.com/netpupper/netp/runner"
)

// connect makes a connection of the test's own.
func (w *world) connect() *wire.Conn {
	w.t.Helper()
	c, err := wire.Connect(wire.Options{InProcess: w.server, Name: "test"})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	return c
}

// startOrder is a valid order to the agent for an endpoint session that takes 20 ms.
func (w *world) startOrder(id netp.AgentID, run string) wire.Order {
	w.t.Helper()
	m, ok := w.runner.Fleet().Find(id)
	if !ok {
		w.t.Fatalf("agent %s is not there", id)
	}
	return wire.Order{
		Version: 1, Type: wire.Start, Audience: id, Incarnation: m.Incarnation, Epoch: 1,
		NotBefore: time.Now(), NotAfter: time.Now().Add(patience), Run: run, Attempt: 1,
		Session: netp.Session{Addr: "s", Kind: scriptedKind, Params: netp.Params{"duration": 0.02}, Path: netp.Path{Source: id, Dest: "x", Endpoint: true}},
	}
}

func (w *world) send(key ed25519.PrivateKey, o wire.Order, limit time.Duration) (wire.Reply, error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), limit)
	defer cancel()
	return wire.NewController(w.connect(), key).Order(ctx, o)
}

func TestOrdersRunOnceHoweverOftenTheyCome(t *testing.T) {
	t.Parallel()
	g := new(gauge)
	w := newWorld(t, options{engines: []engine.Engine{scripted{initiators: g}}})
	w.agent("syd", nil)
	o := w.startOrder("syd", "r1")
	for range 5 {
		if reply, err := w.send(w.private, o, patience); err != nil || !reply.Accepted {
			t.Fatalf("got %+v, %v", reply, err)
		}
	}
	eventually(t, "the part is stored", func() bool {
		parts, err := w.store.Parts(t.Context(), "r1", "s")
		return err == nil && len(parts) == 1 && parts[0].Completed
	})
	if n := g.started.Load(); n != 1 {
		t.Errorf("the session ran %d times", n)
	}
}

func TestOrdersThatAreNotValidDoNothing(t *testing.T) {
	t.Parallel()
	g := new(gauge)
	w := newWorld(t, options{engines: []engine.Engine{scripted{initiators: g}}})
	w.agent("syd", nil)
	for _, c := range []struct {
		name   string
		change func(*wire.Order)
		want   string
	}{
		{"another start of the agent", func(o *wire.Order) { o.Incarnation = "before" }, "earlier start"},
		{"over", func(o *wire.Order) { o.NotAfter = time.Now().Add(-time.Second) }, "ended at"},
		{"too early", func(o *wire.Order) { o.NotBefore = time.Now().Add(time.Minute) }, "valid from"},
		{"deposed controller", func(o *wire.Order) { o.Epoch = 0 }, "epoch"},
		{"unknown kind", func(o *wire.Order) { o.Session.Kind = "none" }, `no "none" sessions`},
		{"unknown order", func(o *wire.Order) { o.Type = "explode" }, `no order "explode"`},
		{"another interface", func(o *wire.Order) { o.Session.Path.SourceInterface = "none" }, `no interface "none"`},
		{"no peer", func(o *wire.Order) { o.Session.Path.Endpoint, o.Peer = false, "nonsense" }, "nonsense"},
	} {
		o := w.startOrder("syd", c.name)
		c.change(&o)
		reply, err := w.send(w.private, o, patience)
		if err != nil || reply.Accepted || !strings.Contains(reply.Failure.Detail, c.want) {
			t.Errorf("%s: %+v, %v; want refused: %q", c.name, reply, err, c.want)
		}
	}
	_, foreign, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	if reply, err := w.send(foreign, w.startOrder("syd", "foreign"), 300*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an order of another controller: %+v, %v; want silence", reply, err)
	}
	if n := g.started.Load(); n != 0 {
		t.Errorf("%d sessions ran", n)
	}
}

func TestCancelThatOvertakesItsStart(t *testing.T) {
	t.Parallel()
	g := new(gauge)
	w := newWorld(t, options{engines: []engine.Engine{scripted{initiators: g}}})
	w.agent("syd", nil)
	o := w.startOrder("syd", "r1")
	o.Type = wire.Cancel
	if reply, err := w.send(w.private, o, patience); err != nil || !reply.Accepted {
		t.Fatalf("cancel: %+v, %v", reply, err)
	}
	o.Type = wire.Start
	reply, err := w.send(w.private, o, patience)
	if err != nil || reply.Accepted || reply.Failure.Kind != netp.FailureCancelled || g.started.Load() != 0 {
		t.Errorf("start after its cancel: %+v, %v, %d ran", reply, err, g.started.Load())
	}
}

func TestEngineThatDoesNotStopIsGivenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.agent("syd", nil)
	o := w.startOrder("syd", "r1")
	o.Session.Params = netp.Params{"duration": 60.0, "act": "deaf"}
	o.NotAfter = time.Now().Add(5 * time.Second)
	if reply, err := w.send(w.private, o, patience); err != nil || !reply.Accepted {
		t.Fatalf("got %+v, %v", reply, err)
	}
	eventually(t, "the session is given up", func() bool {
		parts, err := w.store.Parts(t.Context(), "r1", "s")
		return err == nil && len(parts) == 1 && parts[0].Failure != nil && strings.Contains(parts[0].Failure.Detail, "did not stop")
	})
}

func TestPartsAreStoredOnceAndOnlyFromTheirAgent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	for _, id := range []netp.AgentID{"syd", "mel"} {
		w.agent(id, nil)
	}
	impostor := wire.NewAgent(w.connect(), "per", w.public)
	var forged bool
	report := w.run(t.Context(), makePlan(session{from: "syd", to: "mel", params: netp.Params{"duration": 0.3}, asserts: lossAtMost("loss.ratio <= 0.1")}), func(e runner.Event) {
		s, ok := e.(runner.SessionState)
		if !ok || s.State != runner.Running || forged {
			return
		}
		forged = true
		for _, r := range []netp.Result{
			{Run: s.Run, Session: s.Session.Addr, Attempt: 1, Part: netp.Responder, Agent: "per", Completed: true},
			{Run: s.Run, Session: s.Session.Addr, Attempt: 1, Part: netp.Responder, Agent: "mel", Completed: true},
		} {
			data, err := wire.EncodePart(r)
			if err != nil {
				t.Error(err)
			}
			if err := impostor.Part(data); err != nil {
				t.Error(err)
			}
		}
	})
	if r := only(t, report); r.Status != netp.Pass || len(r.Result.Metrics) != 1 {
		t.Errorf("got %s with %v; the forged part was believed", r.Status, r.Result.Metrics)
	}

	late := netp.Result{Run: report.Run, Session: "late", Attempt: 1, Part: netp.Initiator, Agent: "per", Completed: true}
	data, err := wire.EncodePart(late)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := impostor.Part(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := impostor.Part([]byte("garbage")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the late part is stored", func() bool {
		parts, err := w.store.Parts(t.Context(), report.Run, "late")
		return err == nil && len(parts) == 1
	})
}

func TestAgentDeliversAfterTheControllerComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	spool := t.TempDir()
	syd := w.start("syd", spool, nil)
	w.await("syd")
	o := w.startOrder("syd", "r1")
	o.Session.Params = long(nil)
	if reply, err := w.send(w.private, o, patience); err != nil || !reply.Accepted {
		t.Fatalf("got %+v, %v", reply, err)
	}
	syd.kill() // its session ends with it; the part is in the spool
	if parts, err := w.store.Parts(t.Context(), "r1", "s"); err != nil || len(parts) != 0 {
		t.Fatalf("stored %d parts, %v, before it could deliver", len(parts), err)
	}
	w.start("syd", spool, nil)
	eventually(t, "the spooled part is stored", func() bool {
		parts, err := w.store.Parts(t.Context(), "r1", "s")
		return err == nil && len(parts) == 1
	})
}
