package udp

import (
	"fmt"
	"runtime"
	"time"

	"github.com/netpupper/netp"
)

// cpuUsage is the processor time of the process at one moment.
type cpuUsage struct {
	at   time.Time
	used time.Duration
	ok   bool
}

// check asks whether the process used the whole machine since then. A flood always uses what there is; then only its rate is a
// figure of the host as much as of the path.
func (u cpuUsage) check(flood bool) []netp.Check {
	now := readCPU()
	if !u.ok || !now.ok {
		return nil
	}
	share := float64(now.used-u.used) / float64(now.at.Sub(u.at)) / float64(runtime.NumCPU())
	c := netp.Check{Name: checkSaturation, Value: share, Limit: enoughCPU, Unit: "1", OK: share <= enoughCPU}
	if c.OK {
		return []netp.Check{c}
	}
	if flood {
		c.Metrics = []string{metricRate, string(netp.Forward) + "." + metricRate, string(netp.Reverse) + "." + metricRate}
	}
	c.Reason = fmt.Sprintf("The agent used %.0f %% of the host's processors: what was measured may be the host and not the path. Run fewer sessions at the same time, or ask for a lower rate.", share*100)
	return []netp.Check{c}
}
