package clock

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestDecodeAdjtimex(t *testing.T) {
	for name, c := range map[string]struct {
		code int
		x    unix.Timex
		want State
	}{
		"synchronised": {unix.TIME_OK, unix.Timex{Maxerror: 1500, Esterror: 20},
			State{Synchronised: true, MaxError: 1500 * time.Microsecond, EstError: 20 * time.Microsecond}},
		"nanoseconds": {unix.TIME_INS, unix.Timex{Maxerror: 1500, Status: unix.STA_NANO}, // they count in offsets only
			State{Synchronised: true, MaxError: 1500 * time.Microsecond}},
		"flag unsynchronised": {unix.TIME_OK, unix.Timex{Status: unix.STA_UNSYNC, Maxerror: 16_000_000},
			State{MaxError: 16 * time.Second}},
		"code unsynchronised": {unix.TIME_ERROR, unix.Timex{}, State{}},
	} {
		got := decode(c.code, c.x)
		got.Source = ""
		if got != c.want {
			t.Errorf("%s: got %+v; want %+v", name, got, c.want)
		}
	}
}
