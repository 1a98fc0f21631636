package tcp

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/port"
)

// wantFailure wants a failure of the kind whose detail contains the text.
func wantFailure(t *testing.T, r netp.Result, kind netp.FailureKind, text string) {
	t.Helper()
	if r.Failure == nil || r.Failure.Kind != kind || !strings.Contains(r.Failure.Detail, text) {
		t.Errorf("%s: got failure %v, want %s with %q", r.Part, r.Failure, kind, text)
	}
	if r.Completed {
		t.Errorf("%s: completed in spite of %v", r.Part, r.Failure)
	}
}

func TestNobodyThere(t *testing.T) {
	p := newPair(t, netp.Params{})
	p.port.Close()
	wantFailure(t, p.engine.Initiate(p.initiatorCtx, p.initiator), netp.FailureUnreachable, "nothing listens there")
}

func TestNotExpected(t *testing.T) {
	p := newPair(t, netp.Params{"timeout": 4.0})
	p.initiator.ID++
	wantFailure(t, p.engine.Initiate(p.initiatorCtx, p.initiator), netp.FailureRefused, "does not expect it")
}

func TestImpossibleParameters(t *testing.T) {
	for name, c := range map[string]struct {
		params netp.Params
		text   string
	}{
		"ip":        {netp.Params{"ip": 6.0}, "IPv6"},
		"streams":   {netp.Params{"streams": 1e6}, "the most is 128"},
		"direction": {netp.Params{"direction": "up"}, `"up"`},
		"bytes":     {netp.Params{"bytes": 3.0, "streams": 4.0}, "3 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, c.params)
			wantFailure(t, p.engine.Initiate(p.initiatorCtx, p.initiator), netp.FailureUnsupported, c.text)
		})
	}
}

func TestUnknownCongestion(t *testing.T) {
	for _, direction := range []string{"forward", "reverse"} {
		t.Run(direction, func(t *testing.T) {
			p := newPair(t, netp.Params{"congestion": "swift9", "direction": direction})
			if direction == "forward" {
				wantFailure(t, p.engine.Initiate(p.initiatorCtx, p.initiator), netp.FailureUnsupported, `"swift9"`)
				return
			}
			initiator, responder := p.run()
			wantFailure(t, responder, netp.FailureUnsupported, `"swift9"`)
			wantFailure(t, initiator, netp.FailureUnsupported, `"swift9"`)
		})
	}
}

func TestDifferentOrders(t *testing.T) {
	p := newPair(t, netp.Params{"streams": 2.0, "timeout": 2.0})
	p.responder.Params = netp.Params{"streams": 1.0}
	initiator, responder := p.run()
	for _, r := range []netp.Result{initiator, responder} {
		if r.Failure == nil || r.Completed || len(r.Metrics) > 0 && r.Metrics["throughput"].Distribution != nil {
			t.Errorf("%s with different orders: failure %v, metrics %v", r.Part, r.Failure, r.Metrics)
		}
	}
}

func TestReadyWithOtherTerms(t *testing.T) {
	p := newPair(t, netp.Params{"duration": 30.0})
	other := p.responder
	other.Params = netp.Params{"duration": 20.0}
	done := p.initiate()
	responder := p.engine.Respond(p.responderCtx, other)
	wantFailure(t, <-done, netp.FailureRefused, "not the same at both ends")
	wantFailure(t, responder, netp.FailureRefused, "not the same at both ends")
}

func TestTransferTakesTooLong(t *testing.T) {
	p := newPair(t, netp.Params{"bytes": 1e6, "rate": 1e6, "duration": 0.4})
	initiator, responder := p.run()
	wantFailure(t, responder, netp.FailureTimeout, "Of 1000000 bytes")
	wantFailure(t, initiator, netp.FailureTimeout, "Of 1000000 bytes")
	d := responder.Metrics["throughput"].Distribution
	if d == nil || d.Member("mean") <= 0 || d.Member("mean") > 1.5e6 {
		t.Errorf("partial throughput %v, want about 1 Mbit/s", d.Member("mean"))
	}
}

func TestCancel(t *testing.T) {
	for _, end := range []netp.Role{netp.Initiator, netp.Responder} {
		t.Run("by "+string(end), func(t *testing.T) {
			const tries = 3 // 1 s is promised, and the machine may stand still
			took := time.Hour
			for try := 0; try < tries && took > lostAfter/2 && !t.Failed(); try++ {
				took = cancelled(t, end)
			}
			if took > lostAfter/2 {
				t.Errorf("both ends returned %v after the stop", took)
			}
		})
	}
}

// cancelled stops an end of a session, and says how long it took until both had returned.
func cancelled(t *testing.T, end netp.Role) (took time.Duration) {
	p := newPair(t, netp.Params{"duration": 30.0, "direction": "both"})
	kill := p.killInitiator
	if end == netp.Responder {
		kill = p.killResponder
	}
	var at atomic.Int64
	p.initiator.Progress = func(netp.Progress) {
		if at.CompareAndSwap(0, clock.Mono()) {
			kill()
		}
	}
	initiator, responder := p.run()
	took = time.Duration(clock.Mono() - at.Load())
	for _, r := range []netp.Result{initiator, responder} {
		wantFailure(t, r, netp.FailureCancelled, "stopped")
		if len(r.Metrics) == 0 {
			t.Errorf("%s: the partial figures are lost", r.Part)
		}
	}
	return took
}

// peer plays the responder by hand.
type peer struct {
	t       *testing.T
	control *control
	links   links
	got     atomic.Int64 // bytes on all data connections
}

// answer accepts the connections of the pair and takes part until go.
func (p *pair) answer(connections int) *peer {
	p.t.Helper()
	e := &peer{t: p.t}
	for range connections + 1 {
		c, err := p.responder.Accept.AcceptTCP(p.responderCtx)
		if err != nil {
			p.t.Error(err)
			return e
		}
		if c.Role == roleControl {
			e.links.control, e.control = c, newControl(c)
		} else {
			e.links.data = append(e.links.data, c)
		}
	}
	e.control.send(msgReady, optionsOf(p.responder.Params).terms())
	for m, err := e.control.receive(); m.kind != msgGo; m, err = e.control.receive() {
		if err != nil {
			p.t.Error(err)
			return e
		}
	}
	return e
}

// drain reads the data connections until they end.
func (e *peer) drain() {
	for _, c := range e.links.data {
		go func() {
			b := make([]byte, 1<<20)
			for {
				n, err := c.Read(b)
				e.got.Add(int64(n))
				if err != nil {
					return
				}
			}
		}()
	}
}

// initiate starts the real end and gives a channel with its result.
func (p *pair) initiate() <-chan netp.Result {
	done := make(chan netp.Result, 1)
	go func() { done <- p.engine.Initiate(p.initiatorCtx, p.initiator) }()
	return done
}

// eventually polls for a condition.
func eventually(t *testing.T, what string, met func() bool) {
	t.Helper()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for limit := time.Now().Add(20 * time.Second); !met(); <-poll.C {
		if time.Now().After(limit) {
			t.Fatalf("not in 20 s: %s", what)
		}
	}
}

func TestPeerKilled(t *testing.T) {
	p := newPair(t, netp.Params{"duration": 30.0})
	done := p.initiate()
	e := p.answer(1)
	e.drain()
	eventually(t, "data flows", func() bool { return e.got.Load() > 1e6 })
	e.links.control.SetLinger(0)
	e.links.close() // what the kernel does for a process that was killed
	r := <-done
	wantFailure(t, r, netp.FailureInterrupted, "closed a connection")
	if _, ok := r.Metrics["retransmits"]; !ok && canDiscard {
		t.Error("the partial figures are lost")
	}
	if r.Measured <= 0 || r.Measured > r.Ended.Sub(r.Started) {
		t.Errorf("measured for %v of %v", r.Measured, r.Ended.Sub(r.Started))
	}
}

// TestDeadMan lets the peer fall silent, speak again, and fall silent for good, while its kernel goes on acknowledging.
func TestDeadMan(t *testing.T) {
	t.Parallel()
	p := newPair(t, netp.Params{"duration": 30.0})
	done := p.initiate()
	e := p.answer(1)
	e.drain()
	last, since := int64(0), time.Now()
	still := func() bool { // no byte in 300 ms; unlimited data on loopback never pauses that long by itself
		if got := e.got.Load(); got != last {
			last, since = got, time.Now()
		}
		return time.Since(since) > 300*time.Millisecond
	}
	eventually(t, "data flows", func() bool { return e.got.Load() > 1e6 })
	eventually(t, "the sender pauses", still)
	before := e.got.Load()
	e.control.send(msgBeat, beat{}.appendTo(nil))
	eventually(t, "the sender goes on", func() bool { return e.got.Load() > before })
	silent := time.Now()
	eventually(t, "the sender pauses again", still)
	r := <-done
	wantFailure(t, r, netp.FailureInterrupted, "Nothing was heard")
	if took := time.Since(silent); took < lostAfter-interval {
		t.Errorf("given up after %v, want %v", took, lostAfter)
	}
	if healthy(r, "feedback_gap") && canDiscard {
		t.Error("the sender paused with nothing in flight, and no check says so")
	}
}

// TestOutageIsSurvived: an outage of four seconds is a silence that begins up to a beat before it, and ends as late after it as the
// kernel repeats.
func TestOutageIsSurvived(t *testing.T) {
	c, _ := loop()
	now := clock.Mono()
	s := &session{control: c, started: now, ticked: now, heard: now - int64(4*time.Second+slowBeat*interval+300*time.Millisecond)}
	if err := s.tick(); err != nil {
		t.Error(err)
	}
}

// TestReportOfMoreThanWasSent: a receiver that counts more than there was is not believed.
func TestReportOfMoreThanWasSent(t *testing.T) {
	p := newPair(t, netp.Params{"duration": 30.0})
	done := p.initiate()
	e := p.answer(1)
	e.drain()
	eventually(t, "data flows", func() bool { return e.got.Load() > 1e6 })
	e.control.send(msgReport, report{bytes: 1 << 50, elapsed: time.Second, complete: true}.encode())
	e.control.send(msgDone, nil)
	if r := <-done; healthy(r, "peer_counts") && canDiscard {
		t.Errorf("the report is believed: %+v, failure %v", r.Health, r.Failure)
	}
}

func TestForgedMessage(t *testing.T) {
	p := newPair(t, netp.Params{"duration": 30.0})
	done := p.initiate()
	e := p.answer(1)
	e.drain()
	e.control.sign = port.NewTagger([32]byte{1}) // somebody without the key says: done
	e.control.send(msgReport, report{bytes: 1, elapsed: 1, complete: true}.encode())
	wantFailure(t, <-done, netp.FailureInterrupted, "a wrong tag")
}

func TestReplayedMessage(t *testing.T) {
	p := newPair(t, netp.Params{"duration": 30.0})
	done := p.initiate()
	e := p.answer(1)
	e.drain()
	e.control.send(msgBeat, beat{}.appendTo(nil))
	e.control.sent--
	e.control.send(msgBeat, beat{}.appendTo(nil))
	wantFailure(t, <-done, netp.FailureInterrupted, "a wrong sequence number")
}

// TestNothingArrives is what a path looks like that loses large packets: the small ones of the set-up pass.
func TestNothingArrives(t *testing.T) {
	p := newPair(t, netp.Params{"direction": "reverse", "timeout": 1.0, "duration": 30.0})
	done := p.initiate()
	e := p.answer(1)
	beats := time.NewTicker(interval)
	defer beats.Stop()
	for {
		select {
		case <-beats.C:
			e.control.send(msgBeat, beat{}.appendTo(nil))
		case r := <-done:
			wantFailure(t, r, netp.FailureUnreachable, "not one byte")
			if _, ok := r.Metrics["throughput"]; ok && r.Metrics["throughput"].Distribution.Member("max") > 0 {
				t.Error("nothing arrived and a throughput is reported")
			}
			return
		}
	}
}

func TestAbortSurvivesItsWay(t *testing.T) {
	long := failure(netp.FailurePermission, "%s", strings.Repeat("ä", 400))
	cut := abort(long)[:maxBody]
	got := parseAbort(cut)
	if got.Kind != netp.FailurePermission || !strings.HasPrefix(got.Detail, "The peer ended the session: ääää") || strings.ContainsRune(got.Detail, '\ufffd') {
		t.Errorf("got %v", got)
	}
	for _, b := range [][]byte{nil, {}, {9}, {200, 'x'}, []byte("\x03bad")} {
		if f := parseAbort(b); f.Kind != netp.FailureInterrupted {
			t.Errorf("parseAbort(%q) = %v", b, f)
		}
	}
}

func TestFailureOf(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		ctx     context.Context
		err     error
		silence time.Duration
		want    netp.FailureKind
		text    string
	}{
		{t.Context(), io.EOF, holdAfter / 2, netp.FailureInterrupted, "stopped or killed"},
		{t.Context(), syscall.ECONNRESET, 5 * time.Second, netp.FailureInterrupted, "Nothing was heard from the peer for 5 s"}, // it gave up in an outage
		{cancelled, io.EOF, 0, netp.FailureCancelled, ""},
		{t.Context(), context.DeadlineExceeded, 0, netp.FailureTimeout, ""},
		{t.Context(), errors.ErrUnsupported, 0, netp.FailureUnsupported, ""},
		{t.Context(), errors.New("odd"), 0, netp.FailureInternal, ""},
		{cancelled, forged("a wrong tag"), 0, netp.FailureInterrupted, ""},
	} {
		if got := failureOf(c.ctx, c.err, c.silence); got.Kind != c.want || !strings.Contains(got.Detail, c.text) {
			t.Errorf("failureOf(%v) after %v = %v, want %s with %q", c.err, c.silence, got, c.want, c.text)
		}
	}
	if !slices.Contains(abortable[:], netp.FailureCancelled) {
		t.Error("a peer cannot say that it was cancelled")
	}
}

// TestReportAfterTheReset: behind a deep queue the receiver's reset of the data, at the end of its time, comes before its report.
func TestReportAfterTheReset(t *testing.T) {
	t.Parallel()
	p := newPair(t, netp.Params{"duration": 0.5})
	done := p.initiate()
	e := p.answer(1)
	e.drain()
	eventually(t, "data flows", func() bool { return e.got.Load() > 1e6 })
	at := time.Now()
	after := func(d time.Duration) func() bool { return func() bool { return time.Since(at) > d } }
	eventually(t, "the sender's time is over", after(600*time.Millisecond))
	e.links.data[0].SetLinger(0)
	e.links.data[0].Close()
	eventually(t, "the report is on the way", after(600*time.Millisecond+2*reasonTime))
	e.control.send(msgReport, report{bytes: uint64(e.got.Load()), elapsed: 500 * time.Millisecond, complete: true}.encode())
	e.control.send(msgDone, nil)
	if r := <-done; r.Failure != nil {
		t.Error(r.Failure)
	}
}

// TestReportDuringAnOutage: an end that has all it needs stays as long as its report may still come through to the other one.
func TestReportDuringAnOutage(t *testing.T) {
	t.Parallel()
	p := newPair(t, netp.Params{"direction": "reverse", "duration": 0.2})
	done := p.initiate()
	e := p.answer(1)
	e.links.data[0].Write(make([]byte, 1<<10))
	for m, err := e.control.receive(); m.kind != msgReport; m, err = e.control.receive() {
		if err != nil {
			t.Fatal(err)
		}
	}
	select {
	case r := <-done:
		t.Fatalf("left before the other end could have given up, failure %v", r.Failure)
	case <-time.After(lostAfter):
	}
	e.control.send(msgDone, nil)
	if r := <-done; r.Failure != nil || !r.Completed {
		t.Errorf("completed %v, failure %v", r.Completed, r.Failure)
	}
}

// TestStoppedWhileParting: an end that waits for the other's last word stops when told to, and keeps what it measured.
func TestStoppedWhileParting(t *testing.T) {
	t.Parallel()
	p := newPair(t, netp.Params{"direction": "reverse", "duration": 0.2})
	done := p.initiate()
	e := p.answer(1)
	e.links.data[0].Write(make([]byte, 1<<10))
	for m, err := e.control.receive(); m.kind != msgDone; m, err = e.control.receive() {
		if err != nil {
			t.Fatal(err)
		}
	}
	p.killInitiator()
	select {
	case r := <-done:
		if r.Failure != nil || !r.Completed {
			t.Errorf("completed %v, failure %v", r.Completed, r.Failure)
		}
	case <-time.After(5 * time.Second): // an agent gives up then what does not stop
		t.Error("it goes on when told to stop")
	}
}

// TestSlowSessionsSaySeldom: on a slow path the control connection leaves the line to the data.
func TestSlowSessionsSaySeldom(t *testing.T) {
	t.Parallel()
	p := newPair(t, netp.Params{"duration": 2.0, "rate": 64e3})
	done := p.initiate()
	e := p.answer(1)
	e.drain()
	beats := 0
	for {
		m, err := e.control.receive()
		if err != nil || m.kind == msgAbort || m.kind == msgDone {
			break
		}
		if m.kind == msgBeat {
			beats++
			e.control.send(msgBeat, beat{}.appendTo(nil))
		}
		if beats == 5 {
			e.control.send(msgReport, report{bytes: 1, elapsed: time.Second, complete: true}.encode())
		}
	}
	if r := <-done; r.Failure != nil {
		t.Error(r.Failure)
	} else if took := r.Ended.Sub(r.Started); took < 4*slowBeat*interval {
		t.Errorf("%d beats in %v", beats, took)
	}
}

// TestRepeatsOfAStall: what a host sent again because it stood still does not show that the path lost it.
func TestRepeatsOfAStall(t *testing.T) {
	for name, c := range map[string]struct {
		longest time.Duration
		again   uint64
		ok      bool
	}{
		"losses of the path":     {150 * time.Millisecond, 9, true},
		"a stall, nothing again": {time.Second, 0, true},
		"a stall, and repeats":   {time.Second, 9, false},
	} {
		s := &session{o: options{direction: netp.Both}, out: &sender{direction: netp.Reverse}, load: load{longest: c.longest}}
		got := s.repeats(c.again)
		if got.OK != c.ok || !got.Touches("reverse.retransmits") || !got.Touches("reverse.efficiency") || got.Touches("reverse.throughput.mean") {
			t.Errorf("%s: %+v, want ok %v", name, got, c.ok)
		}
	}
}
