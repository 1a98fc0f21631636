package udp

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// TestOffset: over clocks that differ, drift and are slewed, and paths that differ in both directions, the error of every delay is
// within what is stated, and so is that of differences of delays.
func TestOffset(t *testing.T) {
	for name, c := range map[string]struct {
		offset       time.Duration
		drift        float64 // ppm
		there, back  time.Duration
		span         time.Duration
		usefullySane time.Duration // the stated error must be below
		slewed       time.Duration // from the middle of the session on, by 500 ppm
		queue        time.Duration // of the way to us, after the first second
		burst        time.Duration // of that, for one second in ten
	}{
		"quiet":          {20 * time.Millisecond, 0, 50 * time.Microsecond, 50 * time.Microsecond, 10 * time.Second, time.Millisecond, 0, 0, 0},
		"behind":         {-20 * time.Millisecond, 0, time.Millisecond, time.Millisecond, 10 * time.Second, 4 * time.Millisecond, 0, 0, 0},
		"drift":          {0, 100, 100 * time.Microsecond, 100 * time.Microsecond, 60 * time.Second, 2 * time.Millisecond, 0, 0, 0},
		"asymmetric":     {time.Hour, -50, 20 * time.Millisecond, time.Millisecond, 30 * time.Second, 20 * time.Millisecond, 0, 0, 0},
		"long session":   {time.Second, 80, 5 * time.Millisecond, 5 * time.Millisecond, 3600 * time.Second, 20 * time.Millisecond, 0, 0, 0},
		"slewed soon":    {0, 0, 100 * time.Microsecond, 100 * time.Microsecond, 60 * time.Second, 2 * time.Millisecond, 10 * time.Millisecond, 0, 0},
		"slewed":         {time.Second, 20, time.Millisecond, time.Millisecond, 600 * time.Second, 6 * time.Millisecond, 20 * time.Millisecond, 0, 0},
		"slewed late":    {0, 0, 5 * time.Millisecond, 5 * time.Millisecond, 86400 * time.Second, 20 * time.Millisecond, -50 * time.Millisecond, 0, 0},
		"a queue":        {0, 0, 10 * time.Millisecond, 10 * time.Millisecond, 1200 * time.Second, 130 * time.Millisecond, 0, 200 * time.Millisecond, 0},
		"slewed, bursts": {0, 0, time.Millisecond, time.Millisecond, 600 * time.Second, 15 * time.Millisecond, 20 * time.Millisecond, 0, 200 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 1))
			const start = int64(1e18)
			// Our clock is true; the sender's is at sender(now).
			sender := func(now int64) int64 {
				slew := max(0, now-start-int64(c.span)/2) / 2000
				if slew = min(slew, int64(c.slewed.Abs())); c.slewed < 0 {
					slew = -slew
				}
				return now + int64(c.offset) + int64(c.drift*1e-6*float64(now-start)) + slew
			}
			there := func(now int64) time.Duration {
				if now < start+1e9 {
					return c.there
				}
				if (now-start)/1e9%10 == 5 {
					return c.there + c.queue + c.burst
				}
				return c.there + c.queue
			}
			wait := func(d time.Duration) int64 { return int64(d) + int64(random.ExpFloat64()*float64(d)/10) }
			o := newOffset(false)
			var worst int64
			least, most := int64(math.MaxInt64), int64(math.MinInt64)
			exchange := func(now int64) {
				t2 := now + wait(c.back)
				t3 := t2 + 20_000
				t4 := t3 + wait(c.there) + int64(there(t3)-c.there)
				o.exchange(now, sender(t2), sender(t3), t4)
				o.update(t4)
			}
			for i := range int64(16) {
				exchange(start + i*15e6)
			}
			for now := start + 300e6; now < start+int64(c.span); now += 500e6 {
				for i := range int64(5) {
					left := now + i*100e6
					took := int64(there(left))
					err := o.delay(sender(left), left+took) - took
					worst = max(worst, max(err, -err))
					least, most = min(least, err), max(most, err)
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
			differ, moved := time.Duration(most-least), o.moved()
			if differ > moved+stated/20 { // between two updates the drift may not be known yet
				t.Errorf("two delays differed wrongly by %v; stated %v", differ, moved)
			}
			t.Logf("worst %v, stated %v; of differences %v, %v", time.Duration(worst), stated, differ, moved)
		})
	}
}
