package host

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
)

// Delivery keeps sinks supplied with the records of a source, each at its own pace:
// at least once, in order, from the position the sink has reached. Its methods may be
// called concurrently; Run once.
type Delivery struct {
	host   *Host
	source Source

	mu      sync.Mutex
	want    []Sink
	workers map[string]*worker // as running
	changed chan struct{}      // holds one token when want has changed
}

// NewDelivery makes a delivery without sinks; it does nothing before Run.
func (h *Host) NewDelivery(source Source) *Delivery {
	return &Delivery{host: h, source: source, workers: map[string]*worker{}, changed: make(chan struct{}, 1)}
}

// Set says which sinks there are from now on. Sinks that stay as they are go on
// undisturbed; one whose arguments changed is started anew and goes on from its position.
func (d *Delivery) Set(sinks []Sink) {
	d.mu.Lock()
	d.want = slices.Clone(sinks)
	d.mu.Unlock()
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

// Wake tells that the source has new records; it does not block. Without it they are
// found after Policy.Poll.
func (d *Delivery) Wake() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.workers {
		w.poke()
	}
}

// States says how the sinks are doing, sorted by name.
func (d *Delivery) States() []State {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []State
	for _, name := range slices.Sorted(maps.Keys(d.workers)) {
		out = append(out, d.workers[name].State())
	}
	return out
}

// Run delivers until ctx is done, and returns when all plugins have ended.
func (d *Delivery) Run(ctx context.Context) error {
	running := map[string]task{}
	var all sync.WaitGroup
	defer all.Wait()
	for {
		d.reconcile(ctx, running, &all)
		select {
		case <-ctx.Done():
			return nil
		case <-d.changed:
		}
	}
}

// task is a worker at work.
type task struct {
	worker *worker
	cancel context.CancelFunc
	done   chan struct{}
}

// reconcile stops the workers that are not wanted any more and starts those missing.
func (d *Delivery) reconcile(ctx context.Context, running map[string]task, all *sync.WaitGroup) {
	d.mu.Lock()
	want := map[string]Sink{}
	for _, s := range d.want {
		want[s.Name] = s
	}
	d.mu.Unlock()
	var ending []task
	for name, t := range running {
		if s, ok := want[name]; !ok || !reflect.DeepEqual(s, t.worker.sink) {
			t.cancel()
			ending = append(ending, t)
			delete(running, name)
		}
	}
	for _, t := range ending { // a sink never runs twice
		<-t.done
	}
	for name, s := range want {
		if _, ok := running[name]; ok {
			continue
		}
		ctx, cancel := context.WithCancel(ctx)
		t := task{newWorker(d.host, d.source, s), cancel, make(chan struct{})}
		running[name] = t
		all.Go(func() {
			defer close(t.done)
			defer cancel()
			t.worker.run(ctx, false)
		})
	}
	d.mu.Lock()
	clear(d.workers)
	for name, t := range running {
		d.workers[name] = t.worker
	}
	d.mu.Unlock()
}

// counted bounds how many records Drain counts for a sink that did not take them.
const counted = 10000

// Drain delivers to each sink everything the source has, and returns when that is
// done or ctx is. Each state says what was left: a sink that took everything has
// Pending 0 and is not Failing.
func (h *Host) Drain(ctx context.Context, source Source, sinks []Sink) []State {
	states := make([]State, len(sinks))
	var all sync.WaitGroup
	for n, s := range sinks {
		all.Go(func() {
			w := newWorker(h, source, s)
			w.run(ctx, true)
			if ctx.Err() != nil {
				w.count(context.WithoutCancel(ctx))
			}
			states[n] = w.State()
		})
	}
	all.Wait()
	slices.SortFunc(states, func(a, b State) int { return strings.Compare(a.Sink, b.Sink) })
	return states
}

// count finds out how many records are pending.
func (w *worker) count(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	pending, position := 0, w.State().Position
	var oldest time.Time
	for pending < counted {
		page, err := w.source.RecordsAfter(ctx, position, w.policy.BatchRecords)
		if err != nil {
			pending = max(pending, 1) // never call it done without knowing
			w.update(func(s *State) { s.LastError, s.LastErrorAt = "count what is pending: "+err.Error(), time.Now() })
			break
		}
		if len(page) == 0 {
			break
		}
		for _, n := range page {
			if w.sink.Suite == "" || n.Record.Suite == w.sink.Suite {
				if pending++; pending == 1 {
					oldest = n.Record.Written
				}
			}
		}
		position = page[len(page)-1].Position
	}
	w.update(func(s *State) { s.Pending, s.Oldest, s.More = pending, oldest, pending >= counted })
}
