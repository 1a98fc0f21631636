package host

import (
	"bytes"
	"os"
	"strconv"
)

// readProcessors reads the times of all processors together.
func readProcessors() (ticks, bool) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return ticks{}, false
	}
	return parseStat(b)
}

// parseStat reads the first line: cpu user nice system idle iowait irq softirq steal guest guest_nice. The guests are in user and nice.
func parseStat(b []byte) (t ticks, ok bool) {
	line, _, _ := bytes.Cut(b, []byte{'\n'})
	fields := bytes.Fields(line)
	if len(fields) < 9 || string(fields[0]) != "cpu" {
		return ticks{}, false
	}
	for i, f := range fields[1:9] {
		n, err := strconv.ParseUint(string(f), 10, 64)
		if err != nil {
			return ticks{}, false
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
