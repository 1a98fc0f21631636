//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Two witnesses tell when the host itself stood still, so that nobody else is blamed for it: a thread on each processor that sleeps
// and looks at the clock, and the kernel's own account of how long each thread of a process waited for a processor.

// span is a time during which something happened.
type span struct{ From, To time.Time }

// overlaps says whether a span and another have a moment in common, or less than a margin between them.
func (s span) overlaps(other span, margin time.Duration) bool {
	return s.From.Add(-margin).Before(other.To) && other.From.Before(s.To.Add(margin))
}

// worth is from when on a witness tells: half of what the windows of a session are marked for.
const worth = 5 * time.Millisecond

// watchProcessors has a thread on each processor that tells when it did not run though it should have.
func watchProcessors() (stop func() ([]span, error)) {
	var mu sync.Mutex // guards all and failed
	var all []span
	var failed []error
	done := make(chan struct{})
	var watching sync.WaitGroup
	for cpu := range runtime.NumCPU() {
		watching.Go(func() {
			runtime.LockOSThread() // for good: the thread ends with the goroutine
			var own unix.CPUSet
			own.Set(cpu)
			err := unix.SchedSetaffinity(0, &own)
			precede(0)
			seen, _ := gaps(done)
			mu.Lock()
			defer mu.Unlock()
			all, failed = append(all, seen...), append(failed, err)
		})
	}
	return func() ([]span, error) {
		close(done)
		watching.Wait()
		return all, errors.Join(failed...)
	}
}

// precede gives a thread priority over all ordinary ones, where the system allows it: then it waits for the host, and not for what
// else runs there.
func precede(thread int) {
	unix.SchedSetAttr(thread, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 10}, 0)
}

// precedeAll does so with the threads of this process, and those to come.
func precedeAll() {
	threads, _ := os.ReadDir("/proc/self/task")
	for _, t := range threads {
		if id, err := strconv.Atoi(t.Name()); err == nil {
			precede(id)
		}
	}
}

// gaps sleeps a millisecond at a time and tells when it took much longer.
func gaps(done <-chan struct{}) (all []span, err error) {
	nap := unix.NsecToTimespec(int64(time.Millisecond))
	for last := time.Now(); ; {
		select {
		case <-done:
			return all, nil
		default:
		}
		if err := unix.Nanosleep(&nap, nil); err != nil && err != unix.EINTR {
			return all, err
		}
		now := time.Now()
		if now.Sub(last) > worth {
			all = append(all, span{last, now})
		}
		last = now
	}
}

// watchThreads tells when a thread of this process waited for a processor, as the kernel counts it.
func watchThreads() (stop func() []span) {
	const every = 100 * time.Millisecond
	var all []span
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		before, last := threadWaits(), time.Now()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			now := time.Now()
			after := threadWaits()
			for thread, wait := range after {
				if wait-before[thread] > worth {
					all = append(all, span{last, now})
					break
				}
			}
			before, last = after, now
		}
	})
	return func() []span { close(done); watching.Wait(); return all }
}

// threadWaits is how long each thread of this process has waited for a processor in its life.
func threadWaits() map[string]time.Duration {
	out := map[string]time.Duration{}
	threads, _ := filepath.Glob("/proc/self/task/*/schedstat")
	for _, file := range threads {
		text, err := os.ReadFile(file)
		var ran, wait int64
		if _, scanned := fmt.Sscan(string(text), &ran, &wait); err == nil && scanned == nil {
			out[file] = time.Duration(wait)
		}
	}
	return out
}
