package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/netpupper/netp/plugins/sdk"
)

// receiver is a running plugin as the worker sees it. Its methods are called by one
// goroutine and end in bounded time.
type receiver interface {
	Write(ctx context.Context, records []json.RawMessage) ([]sdk.Rejection, error)
	Version() string
	stop()
	kill()
}

// worker delivers to one sink, all by itself: what happens to it touches no other.
type worker struct {
	sink     Sink
	source   Source
	policy   Policy
	log      *slog.Logger
	open     func(context.Context, Sink) (receiver, error)
	rejected func(sink string, record sdk.Rejection)
	wake     chan struct{} // holds one token when there may be something new

	// Owned by run.
	to      receiver
	started bool       // the sink's position is known
	page    []Numbered // read and not acknowledged
	size    int        // records per batch: smaller for one that is too slow
	row     int        // failures in a row
	missed  int        // deadlines missed in a row

	mu    sync.Mutex
	state State
}

func newWorker(h *Host, source Source, s Sink) *worker {
	return &worker{
		sink: s, source: source, policy: h.policy, log: h.log.With("sink", s.Name), open: h.open,
		rejected: h.options.Rejected, wake: make(chan struct{}, 1), size: h.policy.BatchRecords,
		state: State{Sink: s.Name, Type: s.Type, Circuit: CircuitClosed},
	}
}

// open starts and configures the plugin of a sink.
func (h *Host) open(ctx context.Context, s Sink) (receiver, error) {
	i, err := h.start(ctx, s)
	if err != nil {
		return nil, err
	}
	faults, err := i.configure(ctx, s, h.options)
	if err == nil && len(faults) > 0 {
		err = faults[0]
	}
	if err != nil {
		i.kill()
		return nil, fmt.Errorf("configure: %w", err)
	}
	return i, nil
}

// run delivers until ctx is done; with drain, only until nothing is pending.
func (w *worker) run(ctx context.Context, drain bool) {
	defer func() {
		if w.to != nil {
			w.to.stop()
		}
	}()
	for ctx.Err() == nil {
		delivered, err := w.round(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			w.sleep(ctx, w.failed(err), nil)
		case delivered:
		case drain:
			return
		default:
			w.sleep(ctx, w.policy.Poll, w.wake)
		}
	}
}

func (w *worker) sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-wake:
	}
}

// round delivers one batch; false when there is none.
func (w *worker) round(ctx context.Context) (bool, error) {
	if err := w.fill(ctx); err != nil {
		return false, err
	}
	if len(w.page) == 0 {
		return false, nil
	}
	taken, batch, unfit := w.batch()
	rejected := unfit
	if len(batch) > 0 {
		theirs, err := w.write(ctx, batch)
		if err != nil {
			return false, err
		}
		rejected = append(rejected, w.known(theirs, taken)...)
	}
	position := w.page[taken-1].Position
	if err := w.source.SetSinkPosition(ctx, w.sink.Name, position); err != nil {
		return false, fmt.Errorf("keep the position of %s: %w", w.sink.Name, err)
	}
	w.acknowledged(position, taken, len(batch)+len(unfit), rejected)
	return true, nil
}

// fill reads the next page when the last is used up.
func (w *worker) fill(ctx context.Context) error {
	if !w.started {
		position, err := w.source.SinkPosition(ctx, w.sink.Name)
		if err != nil {
			return fmt.Errorf("read the position of %s: %w", w.sink.Name, err)
		}
		w.started = true
		w.update(func(s *State) { s.Position = position })
	}
	if len(w.page) > 0 {
		return nil
	}
	size := w.policy.BatchRecords
	page, err := w.source.RecordsAfter(ctx, w.State().Position, size)
	if err != nil {
		return fmt.Errorf("read records: %w", err)
	}
	w.page = page
	w.update(func(s *State) { s.More = len(page) == size; w.pending(s) })
	return nil
}

// batch takes records off the page until the batch is full: how many were taken, the
// JSON of those that are for this sink, and those that can never be sent.
func (w *worker) batch() (taken int, batch []json.RawMessage, unfit []sdk.Rejection) {
	size := 0
	for _, n := range w.page {
		if len(batch) == w.size {
			break
		}
		if w.sink.Suite != "" && n.Record.Suite != w.sink.Suite {
			taken++
			continue
		}
		text, err := json.Marshal(n.Record)
		if err == nil && len(text) > sdk.MaxMessage-1024 {
			err = fmt.Errorf("the record has %d bytes, too many for one message", len(text))
		}
		if err != nil {
			unfit = append(unfit, sdk.Rejection{ID: n.Record.ID, Reason: err.Error()})
			taken++
			continue
		}
		if size += len(text) + 1; len(batch) > 0 && size > w.policy.BatchBytes {
			break
		}
		batch = append(batch, text)
		taken++
	}
	return taken, batch, unfit
}

// write sends a batch to the plugin, which it starts when none runs.
func (w *worker) write(ctx context.Context, batch []json.RawMessage) ([]sdk.Rejection, error) {
	w.update(func(s *State) {
		if s.Circuit == CircuitOpen {
			s.Circuit = CircuitHalfOpen
		}
	})
	if w.to == nil {
		to, err := w.open(ctx, w.sink)
		if err != nil {
			return nil, err
		}
		w.to = to
		w.update(func(s *State) {
			if s.Version != "" {
				s.Restarts++
			}
			s.Version = to.Version()
		})
	}
	rejected, err := w.to.Write(ctx, batch)
	if err == nil {
		return rejected, nil
	}
	if ctx.Err() != nil {
		return nil, err // stop asks it to end, and kills it when it does not
	}
	w.disappointed(err)
	return nil, err
}

// disappointed draws the consequences of a failed Write: a sink that does not answer
// in time gets smaller batches, a broken one is ended, to be started again.
func (w *worker) disappointed(err error) {
	p := (*pluginError)(nil)
	answered := errors.As(err, &p) && p.code == codes.Unknown
	if !answered {
		w.size = max(1, w.size/2)
	}
	if p != nil && p.code == codes.DeadlineExceeded {
		w.missed++
	} else {
		w.missed = 0
	}
	if !answered && w.missed != 1 {
		w.to.kill()
		w.to, w.missed = nil, 0
	}
}

// known keeps those rejections that name a record of the batch.
func (w *worker) known(rejected []sdk.Rejection, taken int) []sdk.Rejection {
	ids := map[string]bool{}
	for _, n := range w.page[:taken] {
		ids[n.Record.ID] = true
	}
	var out []sdk.Rejection
	for _, r := range rejected {
		if ids[r.ID] {
			out = append(out, r)
			delete(ids, r.ID)
		}
	}
	return out
}

// acknowledged notes a success; count records were for this sink.
func (w *worker) acknowledged(position uint64, taken, count int, rejected []sdk.Rejection) {
	for _, r := range rejected {
		w.log.Error("sink rejects record", "record", r.ID, "reason", r.Reason)
		if w.rejected != nil {
			w.rejected(w.sink.Name, r)
		}
	}
	if w.row > 0 {
		w.log.Info("sink works again", "failures", w.row)
	}
	w.page = w.page[taken:]
	w.row, w.missed, w.size = 0, 0, min(2*w.size, w.policy.BatchRecords)
	w.update(func(s *State) {
		s.Position = position
		s.Delivered += uint64(count - len(rejected))
		s.Rejected += uint64(len(rejected))
		s.Circuit, s.Failing = CircuitClosed, false
		if count > 0 {
			s.LastDelivered = time.Now()
		}
		w.pending(s)
	})
}

// failed notes a failure and says how long to wait.
func (w *worker) failed(err error) time.Duration {
	w.row++
	open := w.row >= w.policy.OpenAfter
	w.update(func(s *State) {
		s.Failures++
		s.Failing = true
		s.LastError, s.LastErrorAt = err.Error(), time.Now()
		if open {
			s.Circuit = CircuitOpen
		}
	})
	if open {
		if w.row == w.policy.OpenAfter {
			w.log.Error("sink keeps failing; it is tried seldom from now on", "failures", w.row, "every", w.policy.OpenFor, "error", err)
		}
		return w.policy.OpenFor
	}
	w.log.Warn("sink failed", "failures", w.row, "error", err)
	pause := min(w.policy.Backoff<<min(w.row-1, 20), w.policy.MaxBackoff)
	return pause/2 + rand.N(pause/2+1) // apart from others that failed together
}

// pending sets what the page says about the backlog; the caller holds mu.
func (w *worker) pending(s *State) {
	s.Pending, s.Oldest = len(w.page), time.Time{}
	if len(w.page) > 0 {
		s.Oldest = w.page[0].Record.Written
	}
}

func (w *worker) update(change func(*State)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.state)
}

// State is a copy of the state.
func (w *worker) State() State {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

// poke wakes the worker.
func (w *worker) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}
