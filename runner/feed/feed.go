// Package feed keeps what a run tells, as the bytes of its event stream: any number
// of watchers begin at any event, and a slow one costs no memory and delays
// nobody. It runs nothing and speaks no HTTP. Start with Feed.
package feed

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"

	"github.com/netpupper/netp/runner"
)

// Feed is what a run has told so far, in a file. Signs of life are passed on, not
// kept. It may be used concurrently.
type Feed struct {
	logger *slog.Logger
	base   int // ids of events are greater

	mu       sync.Mutex // guards what follows
	file     *os.File
	named    bool          // the system keeps the name of an open file; the last user removes it
	ends     []int64       // where each event ends in the file
	over     bool          // nothing follows
	broken   bool          // an event could not be kept
	changed  chan struct{} // closed and replaced when there is more, or it is over
	watchers map[chan []byte]struct{}
	users    int // the one that made it and the watchers; the last one closes the file
}

// New makes a feed with a file in dir, "" for the system's directory for temporary
// files. Ids of its events are greater than base: one that tells a run anew has
// another base, so that nobody takes its events for those of the first. The maker
// is its first user: it calls Leave.
func New(dir string, base int, logger *slog.Logger) (*Feed, error) {
	file, err := os.CreateTemp(dir, "netp-events-*")
	if err != nil {
		return nil, fmt.Errorf("keep the run's events: %w", err)
	}
	named := os.Remove(file.Name()) != nil // a file without a name goes with the process, however that ends
	return &Feed{logger: logger, base: base, file: file, named: named, changed: make(chan struct{}), watchers: make(map[chan []byte]struct{}), users: 1}, nil
}

// Tell takes in an event of the run.
func (f *Feed) Tell(e runner.Event) {
	name, data, err := Encode(e)
	if err != nil {
		f.logger.Error("event not told", "error", err)
		return
	}
	if _, fleeting := e.(runner.Progress); fleeting {
		f.pass([]byte(Frame(0, name, data)))
		return
	}
	f.keep(name, data)
}

// keep appends an event. When the disk is full the feed breaks: its streams end, and
// who watches is told from the store when the run has ended.
func (f *Feed) keep(name string, data []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken {
		return
	}
	at := f.length()
	text := Frame(f.base+len(f.ends)+1, name, data)
	if _, err := f.file.WriteAt([]byte(text), at); err != nil {
		f.logger.Error("event not kept: who follows the run hears of the rest when it has ended", "error", err)
		f.broken = true
		f.wake()
		return
	}
	f.ends = append(f.ends, at+int64(len(text)))
	f.wake()
}

// pass hands a sign of life to the watchers that are not busy.
func (f *Feed) pass(text []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.watchers {
		select {
		case w <- text:
		default:
		}
	}
}

// Fail tells that the run could not go on.
func (f *Feed) Fail(detail string) {
	if data, err := json.Marshal(Failure{detail}); err == nil {
		f.keep(Failed, data)
	}
}

// Finish says that nothing follows.
func (f *Feed) Finish() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	f.wake()
}

// wake tells the watchers. f.mu is held.
func (f *Feed) wake() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// length of the stream so far. f.mu is held.
func (f *Feed) length() int64 {
	if len(f.ends) == 0 {
		return 0
	}
	return f.ends[len(f.ends)-1]
}

// passBuffer is how many signs of life wait for a watcher.
const passBuffer = 64

// Watch begins to watch: fleeting brings signs of life. It is false when the feed
// is closed or broken. Unwatch ends it.
func (f *Feed) Watch() (fleeting chan []byte, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.users == 0 || f.broken {
		return nil, false
	}
	f.users++
	fleeting = make(chan []byte, passBuffer)
	f.watchers[fleeting] = struct{}{}
	return fleeting, true
}

// Unwatch ends what Watch began.
func (f *Feed) Unwatch(fleeting chan []byte) {
	f.mu.Lock()
	delete(f.watchers, fleeting)
	f.mu.Unlock()
	f.Leave()
}

// Leave is called once by each user; the last one removes the file.
func (f *Feed) Leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.users--
	if f.users > 0 {
		return
	}
	err := f.file.Close()
	if f.named {
		err = errors.Join(err, os.Remove(f.file.Name()))
	}
	if err != nil {
		f.logger.Warn("events not removed", "error", err)
	}
}

// After gives the offset that follows the event with an id; 0 for one that is not
// there.
func (f *Feed) After(id int) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := id - f.base
	if n < 1 || n > len(f.ends) {
		return 0
	}
	return f.ends[n-1]
}

// From gives what the stream holds from an offset on, at most max bytes, whether
// it is over or broken, and what is closed when that changes.
func (f *Feed) From(offset, max int64) (part io.Reader, n int64, over bool, changed <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n = min(f.length()-offset, max)
	return io.NewSectionReader(f.file, offset, n), n, f.over || f.broken, f.changed
}
