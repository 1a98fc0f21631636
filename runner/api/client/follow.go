package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/runner/api"
	"github.com/netpupper/netp/runner/feed"
)

// patience is how long a controller may be away before a follower gives up; the
// run does not end for that.
const patience = 2 * time.Minute

// follower is the state of following one run.
type follower struct {
	*Client
	run     string
	tell    func(runner.Event)
	last    string          // id of the last event
	begun   bool            // run_started was told
	done    map[string]bool // sessions whose record was told
	ended   bool
	contact time.Time
}

// Follow tells what happens in a run from its beginning until it has ended, each
// event once, reconnecting as long as the controller is not away for too long. An
// *api.Problem or *feed.Failure is the controller's own word.
func (c *Client) Follow(ctx context.Context, run string, tell func(runner.Event)) error {
	f := &follower{Client: c, run: run, tell: tell, done: make(map[string]bool), contact: time.Now()}
	wait := 100 * time.Millisecond
	for {
		before := f.contact
		err := f.stream(ctx)
		var problem *api.Problem
		var failure *feed.Failure
		switch {
		case f.ended:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, &failure), errors.As(err, &problem) && problem.Status < http.StatusInternalServerError:
			return err
		case time.Since(f.contact) > patience:
			return fmt.Errorf("lost the controller; the run goes on there: %w", err)
		}
		if f.contact.After(before) {
			wait = 100 * time.Millisecond
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		wait = min(2*wait, 5*time.Second)
	}
}

// stream reads one connection until it breaks or the run has ended.
func (f *follower) stream(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	header := http.Header{}
	if f.last != "" {
		header.Set("Last-Event-ID", f.last)
	}
	response, err := f.do(ctx, http.MethodGet, "runs/"+url.PathEscape(f.run)+"/events", nil, header)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	quiet := time.AfterFunc(silence, func() { cancel(errors.New("the controller fell silent")) })
	defer quiet.Stop()
	lines := bufio.NewReader(response.Body)
	var id, name string
	var data []byte
	for !f.ended {
		line, err := readLine(lines)
		if err != nil {
			return err
		}
		quiet.Reset(silence)
		f.contact = time.Now()
		field, value, _ := bytes.Cut(line, []byte(": "))
		switch string(field) {
		case "id":
			id = string(value)
		case "event":
			name = string(value)
		case "data":
			data = value
		}
		if len(line) > 0 {
			continue
		}
		if err := f.take(name, data); err != nil {
			return err
		}
		if id != "" {
			f.last = id
		}
		id, name, data = "", "", nil
	}
	return nil
}

// readLine reads a line of at most maxEvent bytes.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		piece, err := r.ReadSlice('\n')
		line = append(line, piece...)
		switch {
		case len(line) > maxEvent:
			return nil, errors.New("an event is too large")
		case err == nil:
			return bytes.TrimRight(line, "\r\n"), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// take tells an event unless it was told before: a stream that begins again after
// the run has left the controller's memory repeats.
func (f *follower) take(name string, data []byte) error {
	if name == "" {
		return nil
	}
	e, err := feed.Decode(name, data)
	if err != nil {
		return err
	}
	switch e := e.(type) {
	case nil:
		return nil
	case runner.RunStarted:
		if f.begun {
			return nil
		}
		f.begun = true
	case runner.SessionDone:
		if f.done[e.Record.Session.Addr] {
			return nil
		}
		f.done[e.Record.Session.Addr] = true
	case runner.RunDone:
		f.ended = true
	}
	f.tell(e)
	return nil
}
