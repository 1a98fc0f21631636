package api

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/netpupper/netp/runner"
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
	s.mu.Lock()
	f := s.feeds[found.Report.Run]
	s.mu.Unlock()
	out := &stream{w: w, control: http.NewResponseController(w)}
	if f != nil {
		if fleeting, ok := f.watch(); ok {
			defer f.unwatch(fleeting)
			last, _ := strconv.Atoi(r.Header.Get("Last-Event-ID")) // what is no number is from the beginning
			out.begin()
			out.follow(r, f, f.after(last), fleeting)
			return nil
		}
	}
	return s.retell(r, out, found)
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
func (o *stream) follow(r *http.Request, f *feed, offset int64, fleeting <-chan []byte) {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		part, n, over, changed := f.from(offset, streamPiece)
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

// retell streams a run that is no longer in memory, from the store. Its events
// have no ids: who comes back begins again.
func (s *Server) retell(r *http.Request, out *stream, found store.Run) error {
	records, err := s.cfg.Store.Records(r.Context(), found.Report.Run)
	if err != nil {
		return err
	}
	out.begin()
	report := found.Report
	events := []runner.Event{runner.RunStarted{Run: report.Run, Suite: report.Suite, Started: report.Started, Sessions: found.Sessions}}
	for _, one := range records {
		events = append(events, runner.SessionDone{Record: one})
	}
	if found.Finished() {
		events = append(events, runner.RunDone{Report: report})
	}
	for _, e := range events {
		name, data, err := encodeEvent(e)
		if err != nil || !out.text(frame(0, name, data)) {
			return nil // the header is out: what is missing is asked for again
		}
	}
	if !found.Finished() {
		if data, err := json.Marshal(Failed{"The controller was stopped during the run. Its records up to then are kept."}); err == nil {
			out.text(frame(0, eventFailed, data))
		}
	}
	return nil
}
