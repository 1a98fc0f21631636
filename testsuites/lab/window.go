//go:build linux

package lab

import (
	"errors"
	"fmt"
	"time"
)

// ErrLate is the error of a window in which the emulator was late, or lost packets of its own: what was measured in it says
// nothing about the program that measured.
var ErrLate = errors.New("the emulator did not keep its times: the machine was busy")

// Window resets the counters of the ways, calls measure, and says in an error whether at most one packet in a thousand left
// later than the tolerance. A test repeats a window that is ErrLate; it does not fail, not even when measure did.
func Window(tolerance time.Duration, ways []*Way, measure func() error) error {
	for _, w := range ways {
		if err := w.Reset(); err != nil {
			return err
		}
	}
	measured := measure()
	for _, w := range ways {
		c, late, err := w.Count()
		if err != nil {
			return errors.Join(measured, err)
		}
		if q := late.Quantile(0.999); q > tolerance {
			return errors.Join(fmt.Errorf("%w: %s; at most %v was wanted", ErrLate, &late, tolerance), measured)
		}
		if c.Missed > 0 {
			return errors.Join(fmt.Errorf("%w: it lost %d packets itself", ErrLate, c.Missed), measured)
		}
	}
	return measured
}

// Repeat calls window until it is not ErrLate, up to so many times.
func Repeat(times int, window func() error) error {
	for n := 1; ; n++ {
		if err := window(); !errors.Is(err, ErrLate) || n >= times {
			return err
		}
	}
}

// Both are both ways of a line.
func (l *Line) Both() []*Way { return []*Way{l.Forward, l.Backward} }
