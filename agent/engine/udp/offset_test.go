package udp

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestOffset: over clocks that differ and drift, and paths that differ in both directions, the error of every delay is within
// what is stated.
func TestOffset(t *testing.T) {
	for name, c := range map[string]struct {
		offset       time.Duration
		drift        float64 // ppm
		there, back  time.Duration
		span         time.Duration
		usefullySane time.Duration // the stated error must be below
	}{
		"quiet":        {20 * time.Millisecond, 0, 50 * time.Microsecond, 50 * time.Microsecond, 10 * time.Second, time.Millisecond},
		"behind":       {-20 * time.Millisecond, 0, time.Millisecond, time.Millisecond, 10 * time.Second, 4 * time.Millisecond},
		"drift":        {0, 100, 100 * time.Microsecond, 100 * time.Microsecond, 60 * time.Second, 2 * time.Millisecond},
		"asymmetric":   {time.Hour, -50, 20 * time.Millisecond, time.Millisecond, 30 * time.Second, 20 * time.Millisecond},
		"long session": {time.Second, 80, 5 * time.Millisecond, 5 * time.Millisecond, 3600 * time.Second, 20 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 1))
			const start = int64(1e18)
			// Our clock is true; the sender's is at sender(now).
			sender := func(now int64) int64 {
				return now + int64(c.offset) + int64(c.drift*1e-6*float64(now-start))
			}
			wait := func(d time.Duration) int64 { return int64(d) + int64(random.ExpFloat64()*float64(d)/10) }
			o := newOffset(false)
			var worst int64
			exchange := func(now int64) {
				t2 := now + wait(c.back)
				t3 := t2 + 20_000
				t4 := t3 + wait(c.there)
				o.exchange(now, sender(t2), sender(t3), t4)
				o.update(t4)
			}
			for i := range int64(16) {
				exchange(start + i*15e6)
			}
			for now := start + 300e6; now < start+int64(c.span); now += 500e6 {
				for i := range int64(5) {
					left := now + i*100e6
					took := int64(c.there)
					err := o.delay(sender(left), left+took) - took
					worst = max(worst, max(err, -err))
				}
				exchange(now + 500e6)
			}
			stated := o.uncertainty()
			if time.Duration(worst) > stated {
				t.Errorf("a delay was wrong by %v; stated %v", time.Duration(worst), stated)
			}
			if stated > c.usefullySane {
				t.Errorf("stated error %v; want at most %v", stated, c.usefullySane)
			}
			t.Logf("worst %v, stated %v", time.Duration(worst), stated)
		})
	}
}
