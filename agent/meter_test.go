package agent

import (
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
)

func TestMeterHoldsTheRate(t *testing.T) {
	const rate = 80e6 / 8 // [B/s]
	m := newMeter(netp.Limits{Rate: rate * 8}, newDayBudget(0, usage{}), time.Now().Add(time.Hour))
	started := clock.Mono()
	sent, refused := 0, 0
	for refused < 1000 {
		if m.Allow(1500) {
			sent += 1500
		} else {
			refused++
		}
	}
	elapsed := float64(clock.Mono()-started) / 1e9
	if most := m.depth + rate*elapsed; float64(sent) > most {
		t.Errorf("%d bytes were let through in %g s, at most %g may be", sent, elapsed, most)
	}
	if float64(sent) < m.depth-1500 {
		t.Errorf("%d bytes were let through, the bucket alone holds %g", sent, m.depth)
	}
}

func TestMeterEnds(t *testing.T) {
	now := time.Now()
	for name, m := range map[string]*meter{
		"hard end":  newMeter(netp.Limits{}, newDayBudget(0, usage{}), now.Add(-time.Second)),
		"the day":   newMeter(netp.Limits{}, newDayBudget(1000, usage{}), now.Add(time.Hour)),
		"too large": newMeter(netp.Limits{Rate: 8}, newDayBudget(0, usage{}), now.Add(time.Hour)),
	} {
		n := 1001
		if name == "too large" {
			n = bucketFloor + 1
		}
		if m.Allow(n) {
			t.Errorf("%s: let through", name)
		}
	}
	brief := newMeter(netp.Limits{Duration: time.Minute}, newDayBudget(0, usage{}), now.Add(time.Hour))
	if !brief.Allow(1) || brief.endMono != brief.filled+int64(time.Minute+durationSlack) {
		t.Errorf("a session limited to a minute may send until %d after its first packet", brief.endMono-brief.filled)
	}
	closed := newMeter(netp.Limits{}, newDayBudget(0, usage{}), now.Add(time.Hour))
	if !closed.Allow(1) {
		t.Error("a meter without limits refuses")
	}
	closed.close()
	if closed.Allow(1) {
		t.Error("a closed meter lets through")
	}
}

func TestMeterAllocatesNothing(t *testing.T) {
	m := newMeter(netp.Limits{Rate: 1e9}, newDayBudget(1<<40, usage{}), time.Now().Add(time.Hour))
	if n := testing.AllocsPerRun(1000, func() { m.Allow(1500) }); n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
}

func TestDayBudgetStartsAnewEachDay(t *testing.T) {
	day := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	b := newDayBudget(1000, usage{Day: "2026-11-23", Bytes: 900})
	if left := b.left(day); left != 100 {
		t.Errorf("%d left, want 100", left)
	}
	if b.take(101) || !b.take(100) || b.take(1) {
		t.Error("the budget is not held")
	}
	if u := b.usage(day); u.Bytes != 1000 {
		t.Errorf("usage %+v", u)
	}
	if left := b.left(day.Add(24 * time.Hour)); left != 1000 {
		t.Errorf("%d left the next day, want 1000", left)
	}
}
