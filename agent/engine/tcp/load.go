package tcp

import "time"

// stallTime is how late a beat must be to count as a stall of this host.
const stallTime = 100 * time.Millisecond

// load is what this host did during a session.
type load struct {
	before, after cpuTimes
	known         bool
	busy          float64 // share of the CPU time of all CPUs, 0 to 1
	steal         float64 // share that the hypervisor gave to others
	own           float64 // CPU seconds of this process
	stalled       time.Duration
	longest       time.Duration
}

// cpuTimes are counters of the host since it started, in any unit, and the CPU time of this process [s].
type cpuTimes struct {
	total, idle, steal uint64
	process            float64
}

func (l *load) begin() { l.before, l.known = readCPU() }

// end may be called more than once; the last call counts.
func (l *load) end() {
	after, ok := readCPU()
	if !ok || !l.known {
		return
	}
	l.after = after
	l.own = after.process - l.before.process
	total := float64(after.total - l.before.total)
	if after.total <= l.before.total {
		return
	}
	l.busy = min(max(1-float64(after.idle-l.before.idle)/total, 0), 1)
	l.steal = min(max(float64(after.steal-l.before.steal)/total, 0), 1)
}

// tick notes how late a beat was.
func (l *load) tick(late time.Duration) {
	if late > stallTime {
		l.stalled += late
		l.longest = max(l.longest, late)
	}
}
