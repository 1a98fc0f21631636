// Package host reads how busy the processors of this machine are, and how busy this process keeps them: what an engine
// needs to say whether the instrument was fit to measure. It judges nothing; the limits are the engines'.
//
// Start with Read and Reading.Until.
package host

import (
	"runtime"
	"time"
)

// Reading is what the processors had done at one moment. The zero value says that nothing is known.
type Reading struct {
	at         time.Time
	processors ticks
	process    time.Duration // processor time of this process
	hostKnown  bool
	selfKnown  bool
}

// ticks are processor times since the machine started, of all processors together, in a unit of the system.
type ticks struct{ total, idle, steal uint64 }

// Use is what happened between two readings.
type Use struct {
	// HostKnown says that Busy and Steal are measured. Only Linux tells them.
	HostKnown bool
	// Busy is the share of the time of all processors that was used, by whomever; 0 to 1.
	Busy float64
	// Steal is the share that the hypervisor gave to others; 0 to 1.
	Steal float64
	// ProcessKnown says that Process and ProcessShare are measured, as on all Unix systems.
	ProcessKnown bool
	// Process is the processor time that this process used.
	Process time.Duration
	// ProcessShare is the share of the time of all processors that this process used.
	ProcessShare float64
}

// Read takes a reading now.
func Read() Reading {
	r := ReadProcess()
	r.processors, r.hostKnown = readProcessors()
	return r
}

// ReadProcess takes a reading of this process only: no file of the system has to be read.
func ReadProcess() Reading {
	r := Reading{at: time.Now()}
	r.process, r.selfKnown = readProcess()
	return r
}

// Until is what happened between this reading and a later one.
func (r Reading) Until(later Reading) Use {
	u := Use{
		HostKnown:    r.hostKnown && later.hostKnown,
		ProcessKnown: r.selfKnown && later.selfKnown,
	}
	if total := share(later.processors.total, r.processors.total, 1); u.HostKnown && total > 0 {
		u.Busy = max(1-share(later.processors.idle, r.processors.idle, total), 0)
		u.Steal = min(share(later.processors.steal, r.processors.steal, total), 1)
	}
	if elapsed := later.at.Sub(r.at); u.ProcessKnown && elapsed > 0 {
		u.Process = later.process - r.process
		u.ProcessShare = float64(u.Process) / float64(elapsed) / float64(runtime.NumCPU())
	}
	return u
}

// share is by how much a counter grew, as a share of total; a counter that went back did not grow.
func share(later, earlier uint64, total float64) float64 {
	if later <= earlier {
		return 0
	}
	return float64(later-earlier) / total
}
