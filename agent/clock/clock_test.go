package clock

import (
	"runtime"
	"testing"
	"time"
)

func TestReadingsAgree(t *testing.T) {
	var c Clock
	before := time.Now().UnixNano()
	nanos, now := c.Nanos(), c.Now().UnixNano()
	after := time.Now().UnixNano()
	if nanos < before || nanos > after || now < before || now > after {
		t.Errorf("%d and %d are not between %d and %d", nanos, now, before, after)
	}
	if c.Stamp(12345) != 12345 {
		t.Errorf("Stamp(12345) = %d", c.Stamp(12345))
	}
}

func TestReadState(t *testing.T) {
	var c Clock
	s, err := c.Read()
	if runtime.GOOS != "linux" {
		if err == nil || s.Synchronised {
			t.Errorf("got %v, %v; want unknown", s, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if s.Source == "" || s.String() == "" || s.MaxError < 0 {
		t.Errorf("incomplete state %+v", s)
	}
	if id := c.HostID(); len(id) != 36 || id != c.HostID() {
		t.Errorf("host id %q", id)
	}
}
