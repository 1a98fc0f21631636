package standing

import (
	"slices"
	"time"

	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/plan/schedule"
	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/runner/store"
)

// definition is a standing test as installed. It does not change.
type definition struct {
	suite, test string
	turn        *plan.Plan // what a turn does; starts of sessions count from its own
	table       timetable
	window      time.Duration // how late a session may begin
	length      time.Duration // from the start of a turn to the last moment at which one may begin
	fault       error         // why it cannot run
	placing     *placing      // while it is being laid out
}

func newDefinition(suite string, turn *plan.Plan, installed time.Time) *definition {
	t := turn.Tests[0]
	d := &definition{suite: suite, test: t.Addr, turn: turn}
	if d.table, d.fault = newTimetable(suite, t.Addr, *t.Standing); d.fault != nil {
		return d
	}
	shared := 0
	for i := range turn.Sessions {
		if !exclusive(&turn.Sessions[i]) {
			shared++
		}
	}
	d.placing = &placing{newSeries(suite, d.table, shared, installed), turn.Sessions}
	return d
}

// finish completes a definition whose sessions have their offsets.
func (d *definition) finish() {
	d.placing = nil
	slices.SortFunc(d.turn.Sessions, byStart)
	d.turn.Makespan = 0
	round := 0
	for i := range d.turn.Sessions {
		s := &d.turn.Sessions[i]
		if i == 0 || s.Start != d.turn.Sessions[i-1].Start {
			round++
		}
		s.Round = round
		s.Claims = append(slices.Clip(s.Claims), itself(d.suite, s.Addr))
		d.length = s.Start
		d.turn.Makespan = max(d.turn.Makespan, s.Start+s.Slot)
	}
	if d.fault == nil {
		d.window = min(d.standing().Late(), d.table.gap())
	}
	d.length += d.window
}

// itself is claimed by a session so that it does not begin while it is still
// running from an earlier turn.
func itself(suite, session string) schedule.Claim {
	return schedule.Claim{Resource: schedule.Resource("session " + suite + " " + session), Exclusive: true}
}

// repeats reports whether another definition has its turns at the same times.
func (d *definition) repeats(other *definition) bool {
	a, b := d.standing(), other.standing()
	a.Slip, b.Slip = 0, 0
	return a == b
}

func (d *definition) standing() plan.Standing { return *d.turn.Tests[0].Standing }

// over reports whether no session of a turn may begin any more.
func (d *definition) over(start, now time.Time) bool { return !now.Before(start.Add(d.length)) }

// skip leaves out the oldest of the turns that are over from start on, as
// timetable.skip does.
func (d *definition) skip(settled, start, now time.Time, keep int) (from time.Time, n int) {
	if over := now.Add(-d.length); int64(over.Sub(start)/d.table.gap()) >= int64(keep) {
		return d.table.skip(settled, over, keep)
	}
	return settled, 0 // there cannot be so many
}

// work is a turn as the runner gets it.
func (d *definition) work(start time.Time) runner.Work {
	return runner.Work{
		Plan: d.turn, Trigger: store.BySchedule, Slot: &store.Slot{Suite: d.suite, Test: d.test, Start: start},
		Start: start, Timed: true, Window: d.window,
	}
}
