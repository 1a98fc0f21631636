package tcp

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// readCPU reads the counters of all CPUs together and the time of this process.
func readCPU() (cpuTimes, bool) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return cpuTimes{}, false
	}
	t, ok := parseStat(b)
	var use unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &use); err != nil {
		return cpuTimes{}, false
	}
	t.process = float64(use.Utime.Nano()+use.Stime.Nano()) / 1e9
	return t, ok
}

// parseStat reads the first line: cpu user nice system idle iowait irq softirq steal guest guest_nice. The guests are in user and nice.
func parseStat(b []byte) (t cpuTimes, ok bool) {
	line, _, _ := bytes.Cut(b, []byte{'\n'})
	fields := bytes.Fields(line)
	if len(fields) < 9 || string(fields[0]) != "cpu" {
		return t, false
	}
	for i, f := range fields[1:9] {
		n, err := strconv.ParseUint(string(f), 10, 64)
		if err != nil {
			return t, false
		}
		t.total += n
		switch i {
		case 3, 4:
			t.idle += n
		case 7:
			t.steal = n
		}
	}
	return t, true
}
