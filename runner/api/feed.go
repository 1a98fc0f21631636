package api

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"

	"github.com/netpupper/netp/runner"
)

// feed is what a run has told so far, as the bytes of its event stream: in a file,
// so that any number of watchers can begin at any event, and a slow one costs no
// memory and delays nobody. Signs of life are passed on, not kept.
type feed struct {
	logger *slog.Logger

	mu       sync.Mutex // guards what follows
	file     *os.File
	ends     []int64       // where each event ends in the file
	over     bool          // nothing follows
	changed  chan struct{} // closed and replaced when there is more, or it is over
	watchers map[chan []byte]struct{}
	users    int // the run's server and the watchers; the last one closes the file
}

func newFeed(dir string, logger *slog.Logger) (*feed, error) {
	file, err := os.CreateTemp(dir, "netp-events-*")
	if err != nil {
		return nil, fmt.Errorf("keep the run's events: %w", err)
	}
	return &feed{logger: logger, file: file, changed: make(chan struct{}), watchers: make(map[chan []byte]struct{}), users: 1}, nil
}

// tell takes in an event of the run.
func (f *feed) tell(e runner.Event) {
	name, data, err := encodeEvent(e)
	if err != nil {
		f.logger.Error("event not told", "error", err)
		return
	}
	if _, fleeting := e.(runner.Progress); fleeting {
		f.pass([]byte(frame(0, name, data)))
		return
	}
	f.keep(name, data)
}

// keep appends an event. When the disk is full the watchers miss events; the
// records are in the store all the same.
func (f *feed) keep(name string, data []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := f.length()
	text := frame(len(f.ends)+1, name, data)
	if _, err := f.file.WriteAt([]byte(text), at); err != nil {
		f.logger.Error("event not kept", "error", err)
		return
	}
	f.ends = append(f.ends, at+int64(len(text)))
	f.wake()
}

// pass hands a sign of life to the watchers that are not busy.
func (f *feed) pass(text []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.watchers {
		select {
		case w <- text:
		default:
		}
	}
}

// finish says that nothing follows.
func (f *feed) finish() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	f.wake()
}

// wake tells the watchers. f.mu is held.
func (f *feed) wake() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// length of the stream so far. f.mu is held.
func (f *feed) length() int64 {
	if len(f.ends) == 0 {
		return 0
	}
	return f.ends[len(f.ends)-1]
}

// passBuffer is how many signs of life wait for a watcher.
const passBuffer = 64

// watch begins to watch; false when the feed is closed. leave ends it.
func (f *feed) watch() (fleeting chan []byte, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.users == 0 {
		return nil, false
	}
	f.users++
	fleeting = make(chan []byte, passBuffer)
	f.watchers[fleeting] = struct{}{}
	return fleeting, true
}

func (f *feed) unwatch(fleeting chan []byte) {
	f.mu.Lock()
	delete(f.watchers, fleeting)
	f.mu.Unlock()
	f.leave()
}

// leave is called once by each user; the last one removes the file.
func (f *feed) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.users--
	if f.users > 0 {
		return
	}
	if err := errors.Join(f.file.Close(), os.Remove(f.file.Name())); err != nil {
		f.logger.Warn("events not removed", "error", err)
	}
}

// after gives the offset that follows the n-th event; 0 for one that is not there.
func (f *feed) after(n int) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n < 1 || n > len(f.ends) {
		return 0
	}
	return f.ends[n-1]
}

// from gives what the stream holds from an offset on, at most max bytes, whether
// it is over, and what is closed when that changes.
func (f *feed) from(offset, max int64) (part io.Reader, n int64, over bool, changed <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n = min(f.length()-offset, max)
	return io.NewSectionReader(f.file, offset, n), n, f.over, f.changed
}
