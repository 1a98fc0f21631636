// Package pace decides when packets are to leave, waits for it, and records how well that went.
//
// A Schedule gives due times: constant, Poisson, or bursts, in exact integer arithmetic from the start, so that no error adds
// up. A Pacer waits for them: on Linux it sleeps to shortly before the due time and watches the clock for the rest, elsewhere it
// does what the system's timers can. A packet that could not leave in time is not a property of the network, so the Pacer keeps
// the distribution of its own lateness, and results carry it.
//
// The package sends nothing and knows no packets. Start with New.
package pace

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/netpupper/netp/agent/clock"
)

// Config describes a Pacer.
type Config struct {
	// Schedule is when packets are due; see Constant, Poisson and Burst.
	Schedule Schedule
	// Cheap never watches the clock: the least processor time, and packets late by what a wake-up takes. Otherwise it is watched for
	// 40 µs before each due time at most, for an eighth of the wait where that is longer, up to 150 µs, and 30 µs longer where Rehearse
	// is called.
	Cheap bool
	// Rehearse, if not nil, is called again and again while the clock is watched after a wait of more than 200 µs: it does all of what
	// sending a packet takes but to send it. After such a wait the code and the data that a packet needs have left the processor's
	// caches, and to fetch them takes some µs, each time another number. The last call begins at least 4 µs before the due time.
	Rehearse func()
	// Late is how much later than due a packet must leave to be late: 1 ms when zero. Such packets are counted.
	Late time.Duration
	// CatchUp bounds how far behind the schedule a sender may be and still make up for it: 50 ms when zero. Beyond it, e.g. after
	// a stall of the host, the rest of the schedule is moved: the pause remains a pause instead of becoming a burst that could
	// overflow a queue on the way. Report.Moved tells.
	CatchUp time.Duration
	// Sleep, if not nil, is called in place of the system's sleep: it returns at about a time (clock.Mono, ns) and gives the time
	// at which it does. So a sender can receive between its packets.
	Sleep func(until int64) int64
}

const (
	mostSpin       = 150 * time.Microsecond
	shortSpin      = 40 * time.Microsecond // of any wait, or a longWait-th of a long one
	longWait       = 8
	rehearsal      = 30 * time.Microsecond // for Config.Rehearse
	still          = 4 * time.Microsecond  // after it
	cold           = 200 * time.Microsecond
	defaultLate    = time.Millisecond
	defaultCatchUp = 50 * time.Millisecond
	// slice bounds one sleep, so that a cancelled context is seen soon.
	slice = 100 * time.Millisecond
)

// Pacer paces one stream of packets. It is for one goroutine, which calls Pin first where precision matters. Nothing it does
// per packet allocates.
type Pacer struct {
	schedule Schedule
	late     int64
	catchUp  int64
	gap      int64 // planned, from the packet taken last to the next one
	left     int64 // when the packet recorded last left
	spin     spin
	errors   histogram
	lateSent uint64
	moved    int64
	spun     int64

	now   func() int64            // reads the clock of the due times
	sleep func(until int64) int64 // sleeps until about then and gives the time at which it woke

	rehearse func() // may be nil
}

// New returns a Pacer for the schedule.
func New(cfg Config) (*Pacer, error) {
	if err := cfg.Schedule.valid(); err != nil {
		return nil, err
	}
	if cfg.Late < 0 || cfg.CatchUp < 0 {
		return nil, errors.New("pace: late and catch-up times must not be negative")
	}
	p := &Pacer{
		schedule: cfg.Schedule,
		late:     int64(cmp.Or(cfg.Late, defaultLate)),
		catchUp:  int64(cmp.Or(cfg.CatchUp, defaultCatchUp)),
		now:      clock.Mono,
		sleep:    cfg.Sleep,
	}
	if p.sleep == nil {
		p.sleep = newSleep(cfg.Cheap)
	}
	if !cfg.Cheap {
		p.spin, p.rehearse = newSpin(mostSpin), cfg.Rehearse
	}
	return p, nil
}

// Pin ties the calling goroutine to its thread, asks the system for its finest timers and, where it is allowed (root,
// CAP_SYS_NICE, or a limit on nice), for a larger share of the processors than ordinary programs get, until release is called by the
// same goroutine. It is for loops whose lateness would be mistaken for the network's. It asks for no real-time priority: many
// streams at a time would keep the rest of the agent from running.
func Pin() (release func()) {
	spare()
	runtime.LockOSThread()
	timers, priority := fineTimers(), raisePriority()
	return func() {
		priority()
		timers()
		runtime.UnlockOSThread()
	}
}

// leastProcessors is how many processors Go's scheduler has at least when there are pinned threads, so that those that sleep do not keep
// all of a small machine.
const leastProcessors = 4

var spare = sync.OnceFunc(func() {
	if runtime.GOMAXPROCS(0) < leastProcessors {
		runtime.GOMAXPROCS(leastProcessors)
	}
})

// Due is when the next packet is due (clock.Mono, ns). Next changes it, and Sent after a stall.
func (p *Pacer) Due() int64 { return p.schedule.due }

// Next takes the next packet off the schedule and gives its due time. The cost is what the packet takes from the rate: 1 where
// the rate counts packets, its bits where it counts bits.
func (p *Pacer) Next(cost uint64) (due int64) {
	due = p.schedule.next(cost)
	p.gap = p.schedule.due - due
	return due
}

// Ready is when the next packet may leave: at its due time or, when the sender is behind by less than half of Config.Late, after three
// quarters of the planned gap to the packet before it. So what piles up while a host is interrupted for some µs does not leave as a burst.
func (p *Pacer) Ready() int64 {
	due := p.schedule.due
	if gentle := p.left + p.gap - p.gap/4; due < gentle && gentle <= due+p.late/2 {
		return gentle
	}
	return due
}

// Wait returns when the due time has come, at once when it has passed, or with the error of ctx not later than 100 ms after
// that is done. It returns the time at which it stopped waiting.
func (p *Pacer) Wait(ctx context.Context, due int64) (now int64, err error) {
	now = p.now()
	lead := p.lead(due - now)
	rehearses := p.rehearse != nil && due-now > int64(cold)
	if rehearses {
		lead += int64(rehearsal)
	}
	for {
		target := due - lead
		if now >= target {
			break
		}
		if err := ctx.Err(); err != nil {
			return now, err
		}
		until := min(target, now+int64(slice))
		if now = p.sleep(until); now >= until {
			p.spin.woke(now - until)
		}
	}
	begin := now
	for rehearses && due-now > int64(still) {
		p.rehearse()
		now = p.now()
	}
	for now < due {
		now = p.now()
	}
	p.spun += now - begin
	return now, ctx.Err()
}

// lead is for how long the clock is watched at the end of a wait, if everything is as it was.
func (p *Pacer) lead(wait int64) int64 {
	return min(p.spin.lead(), max(int64(shortSpin), wait/longWait))
}

// Sent records that n packets left at a time, the first of which was due at another. All n are recorded with the lateness of the
// first: what is due in one batch leaves at one time, and the figure errs against ourselves. It moves the rest of the schedule
// when that is further behind than Config.CatchUp.
func (p *Pacer) Sent(n int, due, at int64) {
	late := at - due
	p.left = at
	p.errors.add(late, uint64(n))
	if late > p.late {
		p.lateSent += uint64(n)
	}
	if behind := at - p.schedule.due; behind > p.catchUp {
		p.schedule.shift(behind)
		p.moved += behind
	}
}

// Resume moves the rest of the schedule to now, after a pause that was meant: it counts neither as lateness nor as moved.
func (p *Pacer) Resume(now int64) {
	if behind := now - p.schedule.due; behind > 0 {
		p.schedule.shift(behind)
	}
}

// Errors gives how much later than due packets left (50th and 99th percentile, within 7 %, and maximum), and how many left later
// than Config.Late. A packet that left early counts as 0.
func (p *Pacer) Errors() (p50, p99, maximum time.Duration, late uint64) {
	return p.errors.quantile(0.50), p.errors.quantile(0.99), time.Duration(p.errors.max), p.lateSent
}

// Report is how the pacing went.
type Report struct {
	Sent          uint64        // packets recorded
	Late          uint64        // of these, later than Config.Late
	P50, P99, Max time.Duration // of the lateness
	Moved         time.Duration // by how much the schedule was moved: pauses that were not made up for
	Spun          time.Duration // processor time spent watching the clock
	Lead          time.Duration // how long before due the clock is watched by now; 0 in the cheap mode
}

// Report gives the figures so far.
func (p *Pacer) Report() Report {
	r := Report{Sent: p.errors.total, Moved: time.Duration(p.moved), Spun: time.Duration(p.spun), Lead: time.Duration(p.spin.lead())}
	r.P50, r.P99, r.Max, r.Late = p.Errors()
	return r
}
