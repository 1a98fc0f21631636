package bus

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Pace bounds what one guest may send, on average over Window. A guest beyond it is
// disconnected and kept out for Barred: what it has to say is in its spool.
type Pace struct {
	Messages int           // a second; 0 for 10 000
	Bytes    int           // a second; 0 for 64 MiB
	Window   time.Duration // 0 for 5 s
	Barred   time.Duration // 0 for 30 s
}

func (p Pace) complete() Pace {
	p.Messages = cmp.Or(p.Messages, 10_000)
	p.Bytes = cmp.Or(p.Bytes, 64<<20)
	p.Window = cmp.Or(p.Window, 5*time.Second)
	p.Barred = cmp.Or(p.Barred, 30*time.Second)
	return p
}

// sent is what a connection had sent at one moment.
type sent struct {
	connection      uint64
	messages, bytes int64
}

// guard starts watching the guests and gives what ends it. Without guests there is
// nothing to watch.
func (d *door) guard(pace Pace) (stop func()) {
	if d == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.watch(ctx, pace)
	}()
	return func() {
		cancel()
		<-done
	}
}

// watch holds the guests to their pace until ctx is done.
func (d *door) watch(ctx context.Context, pace Pace) {
	tick := time.NewTicker(pace.Window)
	defer tick.Stop()
	before := map[string]sent{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := map[string]sent{}
		for name, id := range d.connections() {
			s, ok := d.count(id)
			if !ok {
				continue
			}
			now[name] = s
			if last := before[name]; last.connection == id {
				s.messages -= last.messages
				s.bytes -= last.bytes
			}
			d.judge(name, s, pace)
		}
		before = now
	}
}

// judge disconnects a guest that sent too much in a window.
func (d *door) judge(name string, s sent, pace Pace) {
	seconds := pace.Window.Seconds()
	if float64(s.messages) <= float64(pace.Messages)*seconds && float64(s.bytes) <= float64(pace.Bytes)*seconds {
		return
	}
	d.logger.Warn("connection to the bus ended: it sends too much", "name", name, slog.Duration("within", pace.Window),
		"messages", s.messages, "bytes", s.bytes, slog.Duration("barred for", pace.Barred))
	d.mu.Lock()
	d.barred[name] = time.Now().Add(pace.Barred)
	d.mu.Unlock()
	d.server.DisconnectClientByID(s.connection) // an error means that it is gone already
}

// connections are those inside, by name.
func (d *door) connections() map[string]uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.inside)
}

// count asks the server what a connection has sent.
func (d *door) count(id uint64) (sent, bool) {
	answer, err := d.server.Connz(&server.ConnzOptions{CID: id})
	if err != nil || len(answer.Conns) != 1 {
		return sent{}, false // it is gone
	}
	c := answer.Conns[0]
	return sent{connection: id, messages: c.InMsgs, bytes: c.InBytes}, true
}
