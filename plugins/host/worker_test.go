//go:build unix

package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	"github.com/netpupper/netp/plugins/sdk"
)

// scripted is a receiver whose answers are a list; after its end everything is taken.
type scripted struct {
	answers []error
	tries   []time.Duration // since the test began
	sizes   []int
	taken   []string
	opened  int
	killed  int
	stopped int
	began   time.Time
}

func (s *scripted) open(context.Context, Sink) (receiver, error) {
	s.opened++
	return s, nil
}
func (s *scripted) Version() string { return "1.0.0" }
func (s *scripted) stop()           { s.stopped++ }
func (s *scripted) kill()           { s.killed++ }
func (s *scripted) Write(_ context.Context, records []json.RawMessage) ([]sdk.Rejection, error) {
	s.tries = append(s.tries, time.Since(s.began).Round(time.Millisecond))
	s.sizes = append(s.sizes, len(records))
	if len(s.answers) > 0 {
		err := s.answers[0]
		s.answers = s.answers[1:]
		if err != nil {
			return nil, err
		}
	}
	for _, r := range records {
		var id struct{ ID string }
		if err := json.Unmarshal(r, &id); err != nil {
			return nil, err
		}
		s.taken = append(s.taken, id.ID)
	}
	return []sdk.Rejection{{ID: "nobody", Reason: "a lie"}}, nil
}

func scriptedWorker(source Source, answers ...error) (*worker, *scripted) {
	s := &scripted{answers: answers, began: time.Now()}
	w := newWorker(New(Options{Policy: Policy{BatchRecords: 16, OpenAfter: 3, Backoff: time.Second, OpenFor: time.Hour}}), source, Sink{Name: "it", Type: "scripted"})
	w.open = s.open
	return w, s
}

func times(n int, err error) (out []error) {
	for range n {
		out = append(out, err)
	}
	return out
}

func TestBackoffAndCircuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newMemory(4)
		w, s := scriptedWorker(source, times(5, &pluginError{codes.Unavailable, "gone"})...)
		done := make(chan struct{})
		go func() { defer close(done); w.run(t.Context(), true) }()
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		if state := w.State(); state.Circuit != CircuitOpen || state.Failures != 3 || state.Pending != 4 || !state.Failing || state.LastError != "gone" {
			t.Errorf("state %+v", state)
		}
		<-done
		if state := w.State(); state.Circuit != CircuitClosed || state.Delivered != 4 || state.Rejected != 0 || state.Failing || state.Restarts != 5 || state.Position != 12 {
			t.Errorf("state %+v", state)
		}
		if s.killed != 5 || s.opened != 6 || s.stopped != 1 {
			t.Errorf("opened %d, killed %d, stopped %d", s.opened, s.killed, s.stopped)
		}
		for i, bounds := range [][2]time.Duration{{0, 0}, {500 * time.Millisecond, time.Second}, {time.Second, 2 * time.Second}, {time.Hour, time.Hour}, {time.Hour, time.Hour}, {time.Hour, time.Hour}} {
			pause := s.tries[i]
			if i > 0 {
				pause -= s.tries[i-1]
			}
			if pause < bounds[0] || pause > bounds[1] {
				t.Errorf("try %d came after %v, want %v", i, pause, bounds)
			}
		}
	})
}

func TestWhichErrorsRestart(t *testing.T) {
	late := &pluginError{codes.DeadlineExceeded, "late"}
	own := &pluginError{codes.Unknown, "own"}
	for _, test := range []struct {
		name    string
		answers []error
		killed  int
		sizes   []int
	}{
		// Pages of 16 of 40 records; a batch never crosses the end of a page.
		{"the sink's own error", []error{own, own, own}, 0, []int{16, 16, 16, 16, 16, 8}},
		{"one missed deadline", []error{late}, 0, []int{16, 8, 8, 16, 8}},
		{"two missed deadlines", []error{late, late}, 1, []int{16, 8, 4, 8, 4, 16, 8}},
		{"not in a row", []error{late, own, late}, 0, []int{16, 8, 8, 4, 8, 4, 16, 8}},
		{"garbage", []error{errors.New("nonsense")}, 1, []int{16, 8, 8, 16, 8}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source := newMemory(40)
				w, s := scriptedWorker(source, test.answers...)
				w.run(t.Context(), true)
				if s.killed != test.killed {
					t.Errorf("killed %d times, want %d", s.killed, test.killed)
				}
				if diff := cmp.Diff(source.ids(), s.taken); diff != "" {
					t.Errorf("records (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(test.sizes, s.sizes); diff != "" {
					t.Errorf("batch sizes (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestPositionThatCannotBeKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &forgetful{memory: newMemory(3), fail: 2}
		w, s := scriptedWorker(source)
		w.run(t.Context(), true)
		if got := len(s.taken); got != 9 || w.State().Delivered != 3 || source.positions["it"] != 9 {
			t.Errorf("%d writes, state %+v: want the batch delivered until its position is kept", got, w.State())
		}
	})
}

// forgetful fails to keep positions at first.
type forgetful struct {
	*memory
	fail int
}

func (f *forgetful) SetSinkPosition(ctx context.Context, sink string, position uint64) error {
	if f.fail > 0 {
		f.fail--
		return fmt.Errorf("disk full")
	}
	return f.memory.SetSinkPosition(ctx, sink, position)
}

func TestRecordTooLargeForAMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newMemory(3)
		source.records[1].Record.PlanHash = strings.Repeat("x", sdk.MaxMessage)
		w, s := scriptedWorker(source)
		var rejected []sdk.Rejection
		w.rejected = func(_ string, r sdk.Rejection) { rejected = append(rejected, r) }
		w.run(t.Context(), true)
		if len(s.taken) != 2 || len(rejected) != 1 || rejected[0].ID != source.records[1].Record.ID || w.State().Rejected != 1 || w.State().Delivered != 2 {
			t.Errorf("taken %v, rejected %d, state %+v", s.taken, len(rejected), w.State())
		}
	})
}

func TestWakeAndPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newMemory(0)
		w, s := scriptedWorker(source)
		w.policy.Poll = time.Minute
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); w.run(ctx, false) }()
		synctest.Wait()
		source.add(1)
		w.poke()
		synctest.Wait()
		if len(s.taken) != 1 {
			t.Errorf("%d records right after the wake-up, want 1", len(s.taken))
		}
		source.add(1)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(s.taken) != 2 {
			t.Errorf("%d records after the poll, want 2", len(s.taken))
		}
		cancel()
		<-done
		if s.stopped != 1 {
			t.Errorf("stopped %d times", s.stopped)
		}
	})
}
