package rtt

import (
	"os"
	"strconv"
	"strings"
)

// readVitals reads the first line of /proc/stat: user nice system idle iowait irq softirq steal, then guest times that are
// contained in the first two.
func readVitals() vitals {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return vitals{}
	}
	line, _, _ := strings.Cut(string(data), "\n")
	var v vitals
	for i, field := range strings.Fields(line) {
		if i == 0 || i > 8 {
			continue
		}
		n, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return vitals{}
		}
		v.total += n
		if i == 8 {
			v.steal = n
		}
	}
	return v
}
