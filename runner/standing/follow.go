package standing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/quantity"
	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/runner/store"
)

// follower brings the turns of one test to their beginning, one after the other.
type follower struct {
	changed chan struct{} // has something when the definition is another

	// Guarded by Scheduler.mu.
	test    *definition
	stop    context.CancelFunc // nil before it is started
	settled time.Time          // all turns up to here were begun or missed, or are not wanted
	left    int                // turns that were left out, to be told with the next missed one

	last    time.Time   // newest turn that was begun or missed
	ended   time.Time   // newest turn that ran to its end
	verdict netp.Status // of that
	running int         // turns in progress
	missed  uint64      // sessions
	fault   string      // why no turn can be begun
}

func (f *follower) settle(at time.Time) {
	if at.After(f.settled) {
		f.settled = at
	}
}

// poke has the follower look at its definition.
func (f *follower) poke() {
	select {
	case f.changed <- struct{}{}:
	default: // it will look anyway
	}
}

func (f *follower) end() {
	if f.stop != nil {
		f.stop()
	}
}

// turn is one that is due.
type turn struct {
	test  *definition
	start time.Time
	over  bool
	left  int
}

// lookAgain is how long a follower sleeps at most: by then it notices that the
// clock was set, or that the host was suspended.
const lookAgain = 30 * time.Second

// Between two tries to begin a turn there is a second at first and a minute at last.
const (
	firstPause = time.Second
	lastPause  = time.Minute
)

// follow begins turns until ctx is done. Turns in progress live as long as life.
func (s *Scheduler) follow(ctx, life context.Context, f *follower) {
	began := s.cfg.Now()
	pause := firstPause
	kept := s.opening
	for ctx.Err() == nil {
		t, wait := s.due(f)
		if t == nil {
			f.sleep(ctx, wait)
			continue
		}
		tried := s.cfg.Now()
		err := s.note(f, t, s.begin(ctx, life, f, t, reason(t, began, tried, kept)))
		if err == nil {
			pause = firstPause
			kept = kept.over(t, tried, s.cfg.Now())
			continue
		}
		kept = trouble{err: err, upto: s.cfg.Now()}
		if ctx.Err() == nil {
			s.cfg.Logger.Error("turn of a standing test cannot begin", "suite", t.test.suite, "test", t.test.test, "turn", t.start, "error", err, "again_in", pause)
			f.sleep(ctx, pause)
			kept.upto = s.cfg.Now()
			pause = min(2*pause, lastPause)
		}
	}
}

// trouble kept turns from being begun: those whose time came in it.
type trouble struct {
	err         error
	after, upto time.Time
}

// has reports whether it kept a turn from being begun.
func (k trouble) has(t *turn) bool {
	return k.err != nil && t.start.After(k.after) && !t.start.After(k.upto)
}

// over is what is left to say when a turn was begun or recorded at last: why the turns
// are late whose time came meanwhile.
func (k trouble) over(t *turn, tried, now time.Time) trouble {
	if !k.has(t) {
		k.err, k.after = fmt.Errorf("the store took %s to take the turn before it", quantity.Duration(now.Sub(tried))), tried
	}
	k.upto = now
	return k
}

// sleep ends after a while, or with ctx, or when the definition is another.
func (f *follower) sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(min(d, lookAgain))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-f.changed:
	case <-timer.C:
	}
}

// due is the oldest turn that is not settled and has come, or nil and how long it
// is until one comes.
func (s *Scheduler) due(f *follower) (*turn, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	if f.settled.After(now) { // the clock was put back: the store knows which turns were begun
		f.settled = now
	}
	d := f.test
	start := d.table.next(f.settled)
	switch {
	case start.IsZero():
		return nil, lookAgain
	case start.After(now):
		return nil, start.Sub(now)
	case !d.over(start, now):
		return &turn{test: d, start: start}, 0
	}
	if from, n := d.skip(f.settled, start, now, s.keep()); n > 0 {
		s.cfg.Logger.Warn("so many turns of a standing test were missed that the oldest have no records",
			"suite", d.suite, "test", d.test, "turns", n, "until", from)
		f.settled, f.left = from, f.left+n
		f.missed += uint64(n * len(d.turn.Sessions))
		start = d.table.next(from)
	}
	return &turn{test: d, start: start, over: true, left: f.left}, 0
}

// Bounds on what is recorded of turns that were missed in a row.
const (
	maxMissedTurns    = 1000    // of a test
	maxMissedSessions = 100_000 // of all tests, unless one turn of each has more
)

// keep is how many missed turns of each test get records.
func (s *Scheduler) keep() int {
	return max(1, min(maxMissedTurns, maxMissedSessions/max(1, s.sessions())))
}

// reason says why a turn is missed whose time is over.
func reason(t *turn, began, now time.Time, kept trouble) netp.Failure {
	at := func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
	why := ""
	switch {
	case kept.has(t):
		why = fmt.Sprintf("The turn of %s could not begin: %v.", at(t.start), kept.err)
	case t.start.Before(began):
		why = fmt.Sprintf("The controller was not running at %s, and when it had started at %s it was too late: sessions may begin up to %s after their planned start.",
			at(t.start), at(began), quantity.Duration(t.test.window))
	default:
		why = fmt.Sprintf("The controller's clock passed over %s and showed %s next: the host was suspended, or its clock was set. Sessions may begin up to %s after their planned start.",
			at(t.start), at(now), quantity.Duration(t.test.window))
	}
	if t.left > 0 {
		why += fmt.Sprintf(" %d turns before this one were missed, too, and have no records.", t.left)
	}
	return netp.Failure{Kind: netp.FailureMissed, Detail: why}
}

// begin has a turn begun, or recorded as missed, and returns when that is in the
// store. An error means that it is not.
func (s *Scheduler) begin(ctx, life context.Context, f *follower, t *turn, why netp.Failure) error {
	select {
	case s.begins <- struct{}{}:
		defer func() { <-s.begins }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if t.over {
		_, err := s.cfg.Executor.Miss(life, t.test.work(t.start), why)
		return err
	}
	begun := make(chan error, 2) // room for both: nobody waits to say it
	s.work.Go(func() { begun <- s.execute(life, f, t, begun) })
	return <-begun
}

// execute carries a turn out. It says on begun when the turn is in the store.
func (s *Scheduler) execute(ctx context.Context, f *follower, t *turn, begun chan<- error) error {
	running := false
	report, err := s.cfg.Executor.Execute(ctx, t.test.work(t.start), func(e runner.Event) {
		if _, ok := e.(runner.RunStarted); ok {
			running = true
			s.count(f, 1, 0)
			begun <- nil
		}
		if done, ok := e.(runner.SessionDone); ok && missed(done.Record) {
			s.count(f, 0, 1)
		}
		if s.cfg.Events != nil {
			s.cfg.Events(e)
		}
	})
	if running {
		s.count(f, -1, 0)
		s.ended(f, t, report, err)
	}
	return err
}

func missed(r netp.Record) bool {
	failure := r.Result.Failure
	return failure != nil && failure.Kind == netp.FailureMissed
}

// count notes turns that began or ended and sessions that were missed.
func (s *Scheduler) count(f *follower, running int, missed uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.running += running
	f.missed += missed
}

// ended notes how a turn came to its end.
func (s *Scheduler) ended(f *follower, t *turn, report netp.Report, err error) {
	if err != nil {
		s.cfg.Logger.Error("turn of a standing test stopped: it goes on when the store can be written again",
			"suite", t.test.suite, "test", t.test.test, "turn", t.start, "error", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.start.After(f.ended) {
		f.ended, f.verdict = t.start, report.Status
	}
}

// note settles a turn that was begun, recorded as missed, or taken before. It
// gives back the error of one that was not.
func (s *Scheduler) note(f *follower, t *turn, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := errors.Is(err, store.ErrSlotTaken)
	if err != nil && !taken {
		f.fault = err.Error()
		return err
	}
	f.fault = ""
	f.settle(t.start)
	if t.start.After(f.last) {
		f.last = t.start
	}
	if t.over && !taken {
		f.left = 0
		f.missed += uint64(len(t.test.turn.Sessions))
	}
	return nil
}
