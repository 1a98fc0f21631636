package api

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/runner/apply"
	"github.com/netpupper/netp/runner/feed"
	"github.com/netpupper/netp/runner/store"
)

// told is an event as it came over the wire.
type told struct{ id, name, data string }

// listener reads one event stream.
type listener struct {
	w     *world
	lines *bufio.Reader
	close context.CancelFunc
}

// patience bounds every wait; nothing is measured by it.
const patience = 30 * time.Second

func (w *world) listen(run, last string) *listener {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	w.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", w.http.URL+"/api/v1/runs/"+run+"/events", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer viewer")
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	answer, err := w.http.Client().Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { answer.Body.Close() })
	if answer.StatusCode != 200 || answer.Header.Get("Content-Type") != "text/event-stream" {
		w.t.Fatalf("events of %s: %s, %s", run, answer.Status, answer.Header.Get("Content-Type"))
	}
	return &listener{w: w, lines: bufio.NewReader(answer.Body), close: cancel}
}

// next gives the next event; false at the end of the stream.
func (l *listener) next() (told, bool) {
	var e told
	for {
		line, err := l.lines.ReadString('\n')
		if err != nil {
			return e, false
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			e.data = value
		case "":
			if e.name != "" {
				return e, true
			}
		}
	}
}

// read gives the events of a run to its end.
func (w *world) read(run, last string) []told {
	w.t.Helper()
	l := w.listen(run, last)
	var out []told
	for e, ok := l.next(); ok; e, ok = l.next() {
		out = append(out, e)
	}
	if len(out) == 0 || out[len(out)-1].name != feed.Ended && out[len(out)-1].name != feed.Failed {
		w.t.Fatalf("the events of %s do not end: %v", run, out)
	}
	return out
}

func names(list []told) string {
	var out []string
	for _, e := range list {
		out = append(out, e.id+" "+e.name)
	}
	return strings.Join(out, ", ")
}

func TestEvents(t *testing.T) {
	w := newWorld(t)
	run := wants[apply.Started](w, 201, "POST", "/api/v1/runs", onePlan("s", plan.State{})).Run
	early := w.listen(run, "")
	if e, _ := early.next(); e.id != "1" || e.name != feed.Started || !strings.Contains(e.data, run) {
		t.Fatalf("the first event is %+v", e)
	}
	w.steps <- step{event: runner.SessionState{Run: run, Session: record(run).Session, Test: "test.a", State: runner.Preparing, Attempt: 1}}
	if e, _ := early.next(); e.id != "2" || e.name != feed.State {
		t.Fatalf("the second event is %+v", e)
	}
	early.close() // it is cut off here and comes back below

	other := w.listen(run, "") // replay from the beginning, then live
	for range 2 {
		other.next()
	}
	w.steps <- step{event: runner.Progress{Progress: netp.Progress{Run: run, Session: "a"}}}
	if e, _ := other.next(); e.id != "" || e.name != feed.Progress {
		t.Fatalf("want a sign of life without an id, got %+v", e)
	}
	w.steps <- step{event: runner.SessionDone{Record: record(run)}}
	w.steps <- step{end: true}
	var rest []told
	for e, ok := other.next(); ok; e, ok = other.next() {
		rest = append(rest, e)
	}
	if got, want := names(rest), "3 session_done, 4 run_done"; got != want {
		t.Errorf("live: %s, want %s", got, want)
	}
	if strings.Contains(rest[0].data, `"metrics"`) {
		t.Errorf("the record is told with its metrics: %s", rest[0].data)
	}
	for last, want := range map[string]string{
		"2":    "3 session_done, 4 run_done",
		"3":    "4 run_done",
		"":     "1 run_started, 2 session_state, 3 session_done, 4 run_done",
		"junk": "1 run_started, 2 session_state, 3 session_done, 4 run_done",
		"-5":   "1 run_started, 2 session_state, 3 session_done, 4 run_done",
		"99":   "1 run_started, 2 session_state, 3 session_done, 4 run_done",
	} {
		if got := names(w.read(run, last)); got != want {
			t.Errorf("after %q: %s, want %s", last, got, want)
		}
	}
}

// What is no longer in memory is told from the store, and the files of the events
// are gone.
func TestEventsOfOldRuns(t *testing.T) {
	w := newWorld(t)
	var ids []string
	const kept = 8 // feeds of runs that ended
	for i := range kept + 2 {
		run := wants[apply.Started](w, 201, "POST", "/api/v1/runs", onePlan(fmt.Sprint("s", i), plan.State{})).Run
		w.steps <- step{event: runner.SessionDone{Record: record(run)}}
		w.steps <- step{end: true}
		w.read(run, "")
		ids = append(ids, run)
	}
	if got, want := names(w.read(ids[0], "2")), " run_started,  session_done,  run_done"; got != want {
		t.Errorf("an old run: %s, want %s", got, want)
	}
	left := func() (n int) {
		open, err := os.ReadDir("/proc/self/fd") // the files have no names any more
		if err != nil {
			t.Skipf("needs /proc to see open files: %v", err)
		}
		for _, fd := range open {
			if name, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(name, w.spool) {
				n++
			}
		}
		return n
	}
	deadline := time.Now().Add(patience) // readers leave after their client is gone
	for left() > kept && time.Now().Before(deadline) {
		w.read(ids[0], "")
	}
	if n := left(); n != kept {
		t.Errorf("%d files of events are left, want %d", n, kept)
	}
	w.http.CloseClientConnections()
	w.http.Close()
	w.runs.Close()
	if n := left(); n != 0 {
		t.Errorf("%d files of events are left after the end", n)
	}
}

// A run that a killed controller left is told to have been interrupted.
func TestEventsOfInterruptedRun(t *testing.T) {
	w := newWorld(t)
	run := "00000099-0000-7000-8000-000000000000"
	left := store.Run{Report: netp.Report{Run: run, Suite: "s", Started: time.Unix(1, 0).UTC()}, Sessions: 1}
	if err := w.store.SaveRun(t.Context(), left); err != nil {
		t.Fatal(err)
	}
	if got := names(w.read(run, "")); got != " run_started,  run_failed" {
		t.Errorf("events: %s", got)
	}
	if got := wants[Run](w, 200, "GET", "/api/v1/runs/"+run, nil); got.State != "interrupted" {
		t.Errorf("the run is %q", got.State)
	}
	if _, text := w.call(Viewer, "GET", "/api/v1/runs/"+run, nil); strings.Contains(string(text), "0001-01-01") {
		t.Errorf("a run that did not end has an end: %s", text)
	}
}

// A turn of a standing test keeps no events: its watchers hear of it at its end.
func TestEventsOfATurn(t *testing.T) {
	w := newWorld(t)
	ended := make(chan error, 1)
	begun := make(chan string, 1)
	go func() {
		_, err := w.runs.Execute(t.Context(), runner.Work{Plan: onePlan("s", plan.State{}), Trigger: store.BySchedule}, func(e runner.Event) {
			if e, ok := e.(runner.RunStarted); ok {
				begun <- e.Run
			}
		})
		ended <- err
	}()
	run := <-begun
	if got := wants[Run](w, 200, "GET", "/api/v1/runs/"+run, nil); got.State != "running" || got.Lock != nil {
		t.Errorf("the run is %q, lock %v", got.State, got.Lock)
	}
	watcher := w.listen(run, "")
	w.steps <- step{event: runner.SessionDone{Record: record(run)}}
	w.steps <- step{end: true}
	var told []told
	for e, ok := watcher.next(); ok; e, ok = watcher.next() {
		told = append(told, e)
	}
	if got, want := names(told), " run_started,  session_done,  run_done"; got != want {
		t.Errorf("events: %s, want %s", got, want)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
