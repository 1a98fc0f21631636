package api

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/runner/feed"
	"github.com/netpupper/netp/runner/store"
)

const (
	// heartbeat is how often a stream says something even when there is nothing.
	heartbeat = 15 * time.Second
	// streamPiece bounds what is written under one deadline [B].
	streamPiece = 256 << 10
)

// events streams what a run tells: from its beginning, or after the event that
// Last-Event-ID names, until the run's end.
func (s *Server) events(w http.ResponseWriter, r *http.Request) error {
	found, err := s.cfg.Store.FindRun(r.Context(), r.PathValue("run"))
	if err != nil {
		return err
	}
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		return problem(http.StatusServiceUnavailable, "busy", "%d event streams are open, the most there may be. Try again later.", maxStreams)
	}
	out := &stream{w: w, control: http.NewResponseController(w)}
	if f, ok := s.cfg.Runs.Feed(found.Report.Run); ok {
		if fleeting, ok := f.Watch(); ok {
			defer f.Unwatch(fleeting)
			last, _ := strconv.Atoi(r.Header.Get("Last-Event-ID")) // what is no number is from the beginning
			out.begin()
			out.follow(r, f, f.After(last), fleeting)
			return nil
		}
	}
	out.begin()
	if done, ok := s.cfg.Runs.Find(found.Report.Run); ok {
		if !out.await(r, done) {
			return nil
		}
		if found, err = s.cfg.Store.FindRun(r.Context(), found.Report.Run); err != nil {
			return nil // the header is out: who asks again gets the rest
		}
	}
	s.retell(r, out, found)
	return nil
}

// await keeps the stream alive until a run has ended whose events are not kept: a
// turn of a standing test. It is false when nobody reads any more.
func (o *stream) await(r *http.Request, done <-chan struct{}) bool {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for o.text(": the run is in progress, and is told when it has ended\n\n") {
		select {
		case <-done:
			return true
		case <-beat.C:
		case <-r.Context().Done():
			return false
		}
	}
	return false
}

// stream is an answer of server-sent events.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (o *stream) begin() {
	o.w.Header().Set("Content-Type", "text/event-stream")
	o.w.Header().Set("X-Accel-Buffering", "no") // proxies would hold events back
	o.w.WriteHeader(http.StatusOK)
}

// send writes a piece; false when nobody reads any more.
func (o *stream) send(piece io.Reader) bool {
	_ = o.control.SetWriteDeadline(time.Now().Add(requestTimeout)) // the server may have none to set
	_, err := io.Copy(o.w, piece)
	return err == nil && o.control.Flush() == nil
}

// follow writes the feed from an offset on until it is over or the reader is gone.
func (o *stream) follow(r *http.Request, f *feed.Feed, offset int64, fleeting <-chan []byte) {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		part, n, over, changed := f.From(offset, streamPiece)
		if n > 0 || offset == 0 { // the first piece also sends the header
			if !o.send(part) {
				return
			}
			if offset += n; n > 0 {
				continue
			}
		}
		if over {
			return
		}
		ok := true
		select {
		case <-changed:
		case text := <-fleeting:
			ok = o.text(string(text))
		case <-beat.C:
			ok = o.text(": still here\n\n")
		case <-r.Context().Done():
			return
		}
		if !ok {
			return
		}
	}
}

func (o *stream) text(s string) bool {
	_ = o.control.SetWriteDeadline(time.Now().Add(requestTimeout))
	_, err := io.WriteString(o.w, s)
	return err == nil && o.control.Flush() == nil
}

// retell streams a run whose events are not kept, from the store. They have no
// ids: who comes back begins again.
func (s *Server) retell(r *http.Request, out *stream, found store.Run) {
	records, err := s.cfg.Store.Records(r.Context(), found.Report.Run)
	if err != nil {
		s.cfg.Logger.Error("events not told", "run", found.Report.Run, "error", err)
		return
	}
	report := found.Report
	events := []runner.Event{runner.RunStarted{Run: report.Run, Suite: report.Suite, Started: report.Started, Sessions: found.Sessions}}
	for _, one := range records {
		events = append(events, runner.SessionDone{Record: one})
	}
	if found.Finished() {
		events = append(events, runner.RunDone{Report: report})
	}
	for _, e := range events {
		name, data, err := feed.Encode(e)
		if err != nil || !out.text(feed.Frame(0, name, data)) {
			return // what is missing is asked for again
		}
	}
	if !found.Finished() {
		if data, err := json.Marshal(feed.Failure{Detail: "The controller was stopped during the run, or its store was away. Its records up to then are kept."}); err == nil {
			out.text(feed.Frame(0, feed.Failed, data))
		}
	}
}
