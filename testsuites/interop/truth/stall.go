//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/testsuites/lab"
)

const (
	// stallPace is how many packets of a session arrive in a second: one that stands still for stallLeast keeps packets waiting for more
	// than the 10 ms for which a window is marked, whenever it begins.
	stallPace  = 100
	stallLeast = 26 * time.Millisecond
	stallMost  = 80 * time.Millisecond
	// enoughClean is how many windows without a stall have to be without a mark for less than 0.1 % to be false, with 95 % confidence.
	enoughClean = 2995
	// stallRounds bounds how often is tried to have so many, and stallProcesses are the receivers' processes: each runs some sessions,
	// which stand still together. In one they are so many that packets now are read as they come, now when the next report is due.
	stallRounds, stallProcesses = 3, 2
)

// marks counts windows of a second.
type marks struct {
	stops, found         int // stalls of ours, and those whose windows are marked
	clean, wrong         int // windows without any stall, and those that are marked
	doubtful, doubtMarks int // windows in which the host itself stood still
	missed               []string
}

// stallTable stops receivers at known times, and compares the marks of their windows with these times and with what two witnesses say
// of the host.
func stallTable(ctx context.Context, l *lab.Lab, s scale) (table, error) {
	t := table{header: []string{"windows of 1 s", "how many", "marked", "", ""}}
	var sum marks
	for round := 0; round == 0 || ctx.Err() == nil && round < stallRounds && sum.clean < enoughClean && s.stalls*s.windows > enoughClean; round++ {
		if err := sum.observe(l, s, uint64(round)); err != nil {
			return t, err
		}
	}
	sum.print(&t)
	return t, nil
}

// observe runs sessions beside each other and adds their windows.
func (m *marks) observe(l *lab.Lab, s scale, round uint64) error {
	processors := watchProcessors()
	runs := make([]stallRun, stallProcesses)
	var all errgroup.Group
	for i := range runs {
		all.Go(func() (err error) {
			p, err := newPath(l)
			if err != nil {
				return err
			}
			share := s.stalls * 3 / 8
			if i > 0 {
				share = (s.stalls - share) / (stallProcesses - 1)
			}
			runs[i], err = p.stalling(s, share, round<<32|uint64(i))
			return err
		})
	}
	failed := all.Wait()
	host, err := processors()
	if err := errors.Join(failed, err); err != nil {
		return err
	}
	for _, r := range runs {
		r.compare(host, m)
	}
	return nil
}

func (m marks) print(t *table) {
	stops := fmt.Sprintf("with a stop of the receiver for %v to %v", stallLeast, stallMost)
	t.add(m.found == m.stops, "all marked", stops, fmt.Sprint(m.stops), fmt.Sprint(m.found), "")
	bound := fmt.Sprintf("fewer than %.3f %% are false, with 95 %% confidence", 300/float64(max(m.clean, 1)))
	cells := []string{"without any", fmt.Sprint(m.clean), fmt.Sprint(m.wrong), bound}
	if m.wrong == 0 && m.clean < enoughClean {
		t.undecided(fmt.Sprintf("for 0.1 %% it takes %d windows", enoughClean), cells...)
	} else {
		t.add(m.wrong == 0, "fewer than 0.1 % marked", cells...)
	}
	t.add(true, "", "in which the host itself stood still for 5 ms", fmt.Sprint(m.doubtful), fmt.Sprint(m.doubtMarks), "not counted in either")
	for _, missed := range m.missed {
		t.note("%s", missed)
	}
	t.note("The host's own stalls are told by threads that look at the clock, one on each processor, and by the kernel's account of the time for which the receiver's threads waited for one.")
}

// stallRun are sessions whose receivers were stopped.
type stallRun struct {
	far   []netp.Result // the receivers' parts
	stops []span
	waits []span
}

// stalling runs sessions whose receivers are stopped every few seconds.
func (p path) stalling(scale scale, sessions int, seed uint64) (run stallRun, err error) {
	random := rand.New(rand.NewPCG(seed, 5))
	length := time.Duration(scale.windows) * time.Second
	end := func() error { return nil }
	near, far, waits, err := p.pair(stallEnd(scale, sessions), func(_, far *os.Process) {
		var stopping sync.WaitGroup
		var failed error
		begin := time.Now()
		stopping.Go(func() {
			for failed == nil {
				time.Sleep(3*time.Second + time.Duration(random.Int64N(int64(10*time.Second))))
				if time.Since(begin) > length-time.Second {
					return
				}
				var s span
				if s, failed = stopFor(far, stallLeast+time.Duration(random.Int64N(int64(stallMost-stallLeast)))); failed == nil {
					run.stops = append(run.stops, s)
				}
			}
		})
		end = func() error { stopping.Wait(); return failed }
	})
	if err = errors.Join(err, end()); err != nil {
		return run, err
	}
	for _, part := range append(near, far...) {
		if part.Failure != nil {
			return run, part.Failure
		}
	}
	for i := range far {
		far[i].Started = near[i].Started // from which the time series counts
	}
	run.far, run.waits = far, waits
	return run, nil
}

// stallEnd is what the ends of such sessions play.
func stallEnd(s scale, sessions int) end {
	return end{Kind: "udp", Watch: true, Sessions: sessions, Params: netp.Params{
		"duration": float64(s.windows), "rate": fmt.Sprintf("%dpps", stallPace), "size": float64(dataSize), "timeout": 1.0,
	}}
}

// stopFor stops a process for a time. The span is the time for which it certainly stood still: all its threads had stopped.
func stopFor(p *os.Process, d time.Duration) (s span, err error) {
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return s, err
	}
	for stopped := false; !stopped; time.Sleep(100 * time.Microsecond) {
		var info unix.Siginfo
		if err := unix.Waitid(unix.P_PID, p.Pid, &info, unix.WSTOPPED|unix.WNOHANG, nil); err != nil {
			return s, fmt.Errorf("wait for process %d to stop: %w", p.Pid, err)
		}
		stopped = info.Signo != 0
	}
	s.From = time.Now()
	time.Sleep(d)
	s.To = time.Now()
	return s, p.Signal(syscall.SIGCONT)
}

// compare adds the windows of all sessions to a sum.
func (r stallRun) compare(host []span, sum *marks) {
	for _, far := range r.far {
		r.session(far, slices.Concat(host, r.waits), sum)
	}
}

// session adds the windows of one session. The first and the last one are not whole.
func (r stallRun) session(far netp.Result, host []span, sum *marks) {
	const margin = 20 * time.Millisecond // a window begins with a packet that was sent, and a mark has the time of one that arrived
	marked, windows := make([]bool, len(far.Intervals)), make([]span, len(far.Intervals))
	for n, i := range far.Intervals {
		from := far.Started.Add(i.Start)
		windows[n] = span{from, from.Add(i.Length)}
		marked[n] = i.Values["host_stall"] > 0
	}
	for _, stop := range r.stops {
		sum.stops++
		found := false
		for n, w := range windows {
			found = found || marked[n] && w.overlaps(stop, margin)
		}
		sum.found += one(found)
		if !found {
			sum.missed = append(sum.missed, fmt.Sprintf("Not marked: a stop of %v, %v after the start of the session.", stop.To.Sub(stop.From), stop.From.Sub(far.Started)))
		}
	}
	for n := 1; n < len(windows)-1; n++ {
		switch {
		case touched(r.stops, windows[n], margin):
		case touched(host, windows[n], margin):
			sum.doubtful++
			sum.doubtMarks += one(marked[n])
		default:
			sum.clean++
			sum.wrong += one(marked[n])
		}
	}
}

// one counts a condition.
func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// touched says whether one of the spans overlaps a window.
func touched(spans []span, window span, margin time.Duration) bool {
	for _, s := range spans {
		if window.overlaps(s, margin) {
			return true
		}
	}
	return false
}
