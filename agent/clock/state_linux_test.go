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
		"microseconds": {unix.TIME_OK, unix.Timex{Offset: -25, Maxerror: 1500, Esterror: 20, Freq: 3 << 16},
			State{Synchronised: true, Offset: -25 * time.Microsecond, MaxError: 1500 * time.Microsecond, EstError: 20 * time.Microsecond, Frequency: 3, Leap: LeapNone}},
		"nanoseconds": {unix.TIME_INS, unix.Timex{Offset: 700, Status: unix.STA_NANO},
			State{Synchronised: true, Offset: 700, Leap: LeapInsert}},
		"flag unsynchronised": {unix.TIME_OK, unix.Timex{Status: unix.STA_UNSYNC, Maxerror: 16_000_000},
			State{MaxError: 16 * time.Second, Leap: LeapNone}},
		"code unsynchronised": {unix.TIME_ERROR, unix.Timex{}, State{Leap: LeapNone}},
	} {
		got := decode(c.code, c.x)
		got.Source = ""
		if got != c.want {
			t.Errorf("%s: got %+v; want %+v", name, got, c.want)
		}
	}
}
