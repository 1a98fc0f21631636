package feed

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/runner"
)

// Names of events in the stream; the data of each is one JSON object.
const (
	Started  = "run_started"
	State    = "session_state"
	Progress = "session_progress"
	Done     = "session_done"
	Ended    = "run_done"
	Failed   = "run_failed"
)

// Failure is the last event of a run that could not go on: the controller could
// not record it, or it was stopped during the run. As an error it is what Decode
// gives for it.
type Failure struct {
	Detail string `json:"detail"`
}

// Error is the detail.
func (f *Failure) Error() string { return f.Detail }

type runStarted struct {
	Run      string        `json:"run"`
	Suite    string        `json:"suite"`
	Started  time.Time     `json:"started"`
	Sessions int           `json:"sessions"`
	Makespan time.Duration `json:"makespan"` // [ns]
}

type sessionState struct {
	Run     string       `json:"run"`
	Session netp.Session `json:"session"`
	Test    string       `json:"test"`
	State   runner.State `json:"state"`
	Attempt int          `json:"attempt"`
	At      time.Time    `json:"at"`
}

// Encode writes an event. A record is told without its metrics and intervals: the
// verdict has its estimates, and the whole is in the store.
func Encode(e runner.Event) (name string, data []byte, err error) {
	var body any
	switch e := e.(type) {
	case runner.RunStarted:
		name, body = Started, runStarted(e)
	case runner.SessionState:
		name, body = State, sessionState(e)
	case runner.Progress:
		name, body = Progress, e.Progress
	case runner.SessionDone:
		r := e.Record
		r.Result.Metrics, r.Result.Intervals = nil, nil
		name, body = Done, r
	case runner.RunDone:
		name, body = Ended, e.Report
	default:
		return "", nil, fmt.Errorf("event %T has no form in the stream", e)
	}
	data, err = json.Marshal(body)
	return name, data, err
}

// Decode reads an event of a stream. An unknown name gives a nil event: newer
// controllers may tell more. A run_failed event is the error *Failure.
func Decode(name string, data []byte) (runner.Event, error) {
	switch name {
	case Started:
		e, err := read[runStarted](data)
		return runner.RunStarted(e), err
	case State:
		e, err := read[sessionState](data)
		return runner.SessionState(e), err
	case Progress:
		e, err := read[netp.Progress](data)
		return runner.Progress{Progress: e}, err
	case Done:
		e, err := read[netp.Record](data)
		return runner.SessionDone{Record: e}, err
	case Ended:
		e, err := read[netp.Report](data)
		return runner.RunDone{Report: e}, err
	case Failed:
		e, err := read[Failure](data)
		if err != nil {
			return nil, err
		}
		return nil, &e
	}
	return nil, nil
}

func read[T any](data []byte) (T, error) {
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		return v, fmt.Errorf("read event: %w", err)
	}
	return v, nil
}

// Frame writes an event as the stream has it; an id of 0 leaves the id out, so
// that a watcher who comes back resumes after the last event that has one.
func Frame(id int, name string, data []byte) string {
	var b strings.Builder
	if id > 0 {
		b.WriteString("id: " + strconv.Itoa(id) + "\n")
	}
	b.WriteString("event: " + name + "\ndata: ")
	b.Write(data) // JSON as we write it has no newline
	b.WriteString("\n\n")
	return b.String()
}
