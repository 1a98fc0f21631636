package runs

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/runner/feed"
	"github.com/netpupper/netp/runner/store"
)

// job is a run of its own, that nobody waits for.
type job struct {
	run     string // "" until it has begun
	base    int    // of its events' ids
	suite   string
	trigger store.Trigger
	since   time.Time
	begun   func(run string) // nil when it has begun before
	ended   func()           // nil for nobody
	do      func(ctx context.Context, tell func(runner.Event)) error
}

// launch runs a job in the background; failed hears how it went.
func (r *Runs) launch(j job) (failed <-chan error, cancel context.CancelCauseFunc, err error) {
	if j.ended == nil {
		j.ended = func() {}
	}
	if err := r.enter(); err != nil {
		j.ended()
		return nil, nil, err
	}
	f, err := feed.New(r.cfg.SpoolDir, j.base, r.cfg.Logger)
	if err != nil {
		r.all.Done()
		j.ended()
		return nil, nil, err
	}
	ctx, cancel := context.WithCancelCause(r.life)
	one := &running{suite: j.suite, trigger: j.trigger, since: j.since, cancel: cancel, done: make(chan struct{})}
	if j.run != "" {
		r.publish(j.run, one, f)
	}
	result := make(chan error, 1)
	go func() {
		defer r.all.Done()
		defer cancel(nil)
		result <- r.work(ctx, j, one, f)
	}()
	return result, cancel, nil
}

// work does a job to its end and tells the feed.
func (r *Runs) work(ctx context.Context, j job, one *running, f *feed.Feed) error {
	defer close(one.done)
	over := false
	end := func() {
		if !over {
			over = true
			r.forget(j.run)
			j.ended()
		}
	}
	err := j.do(ctx, func(e runner.Event) {
		switch e := e.(type) {
		case runner.RunStarted:
			if j.run == "" {
				j.run = e.Run
				r.publish(j.run, one, f)
			}
			if j.begun != nil {
				j.begun(j.run)
				j.begun = nil
			}
		case runner.RunDone:
			end() // who hears of the end may begin again
		}
		r.cfg.Observe(e)
		f.Tell(e)
	})
	end()
	if err != nil {
		r.cfg.Logger.Error("run stopped: it goes on when the store can be written again", "run", j.run, "suite", j.suite, "error", err)
		r.stick(j.run)
		why := "its log says why"
		if away := (*store.Away)(nil); errors.As(err, &away) {
			why = "it cannot use its store: " + away.Why
		}
		f.Fail("The controller could not go on with the run, and does so when it can; " + why + ".")
	}
	f.Finish()
	if j.run == "" {
		f.Leave()
		return err
	}
	r.retire(j.run)
	return err
}

// publish makes a run findable. One that was stuck has a feed from before, which ends.
func (r *Runs) publish(run string, one *running, f *feed.Feed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if before := r.feeds[run]; before != nil {
		before.Leave()
		r.ended = slices.DeleteFunc(r.ended, func(ended string) bool { return ended == run })
	}
	r.running[run], r.feeds[run] = one, f
}

// keptFeeds is how many ended runs keep their events as they were told; older ones
// are told from the store.
const keptFeeds = 8

// retire counts a run among the ended ones.
func (r *Runs) retire(run string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = append(r.ended, run)
	for len(r.ended) > keptFeeds {
		if f := r.feeds[r.ended[0]]; f != nil {
			f.Leave()
			delete(r.feeds, r.ended[0])
		}
		r.ended = r.ended[1:]
	}
}
