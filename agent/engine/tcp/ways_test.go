package tcp

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/netpupper/netp/agent/engine"
	"github.com/netpupper/netp/agent/port"
)

// ways are those to move payload through connections.
var ways = append(systemWays, []way{
	{"portable", func(c *net.TCPConn, _ []byte) (source, error) { return netPipe{c}, nil }, func(c *port.Conn, _ bool) (sink, error) { return netPipe{c.TCPConn}, nil }},
	{"fastest", func(c *net.TCPConn, pattern []byte) (source, error) { return openSource(c, pattern, false) }, openSink},
}...)

type way struct {
	name   string
	source func(*net.TCPConn, []byte) (source, error)
	sink   func(*port.Conn, bool) (sink, error)
}

// open opens both ends of a connection, for a pattern.
func (w way) open(t *testing.T, a *net.TCPConn, b *port.Conn, pattern []byte) (source, sink) {
	out, err := w.source(a, pattern)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.close)
	in, err := w.sink(b, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.close)
	return out, in
}

func pages(t *testing.T, n int) []byte {
	b, err := newPages(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { freePages(b) })
	return b
}

func connected(t *testing.T) (a *net.TCPConn, b *port.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialled, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	b = &port.Conn{TCPConn: accepted.(*net.TCPConn)}
	t.Cleanup(func() { dialled.Close(); b.Close() })
	return dialled.(*net.TCPConn), b
}

// TestWays moves a random pattern a few times and wants it whole, then the end.
func TestWays(t *testing.T) {
	pattern, err := newPattern(1)
	if err != nil {
		t.Fatal(err)
	}
	defer freePages(pattern)
	text := bytes.Repeat(pattern, 6)
	for _, w := range ways {
		a, b := connected(t)
		out, in := w.open(t, a, b, pattern)
		failed := make(chan error, 1)
		go func() {
			for sent := 0; sent < len(text); {
				at := sent % len(pattern)
				n, err := out.push(pattern[at:min(at+100_000, len(pattern))])
				if err != nil {
					failed <- err
					return
				}
				sent += n
			}
			failed <- a.CloseWrite()
		}()
		var got bytes.Buffer
		buffer := make([]byte, 70000)
		for {
			n, err := in.pull(buffer)
			got.Write(buffer[:n])
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := <-failed; err != nil || !bytes.Equal(got.Bytes(), text) {
			t.Errorf("%s: %d bytes arrived of %d, %v", w.name, got.Len(), len(text), err)
		}
	}
}

// TestPushEndsAtTheDeadline has a peer that does not read, and the next push goes on where the last one ended.
func TestPushEndsAtTheDeadline(t *testing.T) {
	pattern, err := newPattern(2)
	if err != nil {
		t.Fatal(err)
	}
	defer freePages(pattern)
	text := bytes.Repeat(pattern, 128)
	for _, w := range ways {
		a, b := connected(t)
		out, in := w.open(t, a, b, pattern)
		a.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		sent := 0
		var err error
		for err == nil && sent < len(text) {
			var n int
			n, err = out.push(pattern[sent%len(pattern):])
			sent += n
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%s: after %d bytes that nobody reads: %v", w.name, sent, err)
		}
		a.SetWriteDeadline(time.Time{})
		var got bytes.Buffer
		buffer := make([]byte, 1<<20)
		for got.Len() < sent {
			n, err := in.pull(buffer)
			if err != nil {
				t.Fatal(err)
			}
			got.Write(buffer[:n])
		}
		at := sent % len(pattern)
		n, err := out.push(pattern[at:min(at+100, len(pattern))])
		if err != nil {
			t.Fatal(err)
		}
		m, err := in.pull(buffer)
		got.Write(buffer[:m])
		if err != nil || m != n || !bytes.Equal(got.Bytes(), text[:sent+n]) {
			t.Errorf("%s: %d bytes after the deadline, %d of them arrived: %v", w.name, n, m, err)
		}
	}
}

// TestStopEndsPull: whoever waits for data ends when it is told to, and what came before is there.
func TestStopEndsPull(t *testing.T) {
	pattern := pages(t, 1000)
	for _, w := range ways {
		a, b := connected(t)
		out, in := w.open(t, a, b, pattern)
		if _, err := out.push(pattern); err != nil {
			t.Fatal(err)
		}
		var got int
		ended := make(chan error)
		go func() {
			defer in.attend()()
			buffer := make([]byte, 2000)
			for {
				n, err := in.pull(buffer)
				if got += n; err != nil {
					ended <- err
					return
				}
				if got == len(pattern) {
					ended <- nil
				}
			}
		}()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		in.stop()
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) || got != len(pattern) {
			t.Errorf("%s: %d bytes, %v", w.name, got, err)
		}
	}
}

// TestPushAfterReset has a peer that is gone: an error, and no signal that ends the process.
func TestPushAfterReset(t *testing.T) {
	text := pages(t, bufferSize)
	for _, w := range ways {
		a, b := connected(t)
		out, _ := w.open(t, a, b, text)
		b.SetLinger(0)
		b.Close()
		for range 3 {
			for err := error(nil); err == nil; { // the reset is on its way
				_, err = out.push(text)
			}
		}
	}
}

// TestAlone: which sessions may share a processor.
func TestAlone(t *testing.T) {
	_, b := connected(t)
	one, two := []*port.Conn{b}, []*port.Conn{b, b}
	for _, c := range []struct {
		job  engine.Job
		o    options
		data []*port.Conn
		want bool
	}{
		{engine.Job{SameClock: true}, options{congestion: "cubic"}, one, true},
		{engine.Job{SameClock: false}, options{congestion: "cubic"}, one, false},
		{engine.Job{SameClock: true}, options{congestion: "cubic"}, two, false},
		{engine.Job{SameClock: true}, options{congestion: "cubic", rate: 1e9}, one, false},
		{engine.Job{SameClock: true}, options{congestion: "bbr"}, one, false},
	} {
		s := &session{job: c.job, o: c.o, links: links{data: c.data}}
		if got := s.alone(); got != c.want {
			t.Errorf("same host %v, %+v, %d connections: alone %v", c.job.SameClock, c.o, len(c.data), got)
		}
	}
	s := &session{job: engine.Job{SameClock: true}, links: links{data: one}}
	var name string
	onSocket(b, func(fd uintptr) { name = congestionOf(fd) })
	if want := !strings.HasPrefix(name, "bbr"); s.alone() != want {
		t.Errorf("with the system's own %q alone is %v", name, !want)
	}
}
