package rtt

import (
	"time"

	"github.com/netpupper/netp"
)

// maxRows bounds the time series of a result.
const maxRows = 600

// rows is the time series of a session: one row a second, or per more whole seconds in long sessions. A probe belongs to the row
// in which it was sent.
type rows struct {
	start  int64 // clock.Mono when the session started
	length int64
	all    []row
}

type row struct {
	sent, lost, answered uint64
	sum                  float64 // of the round trips, ns
}

func newRows(start int64, length time.Duration) rows {
	seconds := int64(length/time.Second) + 1
	return rows{
		start:  start,
		length: int64(time.Second) * ((seconds + maxRows - 1) / maxRows),
		all:    make([]row, 0, min(seconds, maxRows)),
	}
}

func (r *rows) count(p *probe) {
	i := int(min((p.left-r.start)/r.length, maxRows-1))
	for len(r.all) <= i {
		r.all = append(r.all, row{})
	}
	at := &r.all[i]
	at.sent++
	if p.state != inTime {
		at.lost++
		return
	}
	at.answered++
	at.sum += float64(p.rtt)
}

// intervals gives the rows in which something was sent.
func (r *rows) intervals() []netp.Interval {
	var out []netp.Interval
	for i, one := range r.all {
		if one.sent == 0 {
			continue
		}
		values := map[string]float64{metricSent: float64(one.sent), metricLost: float64(one.lost)}
		if one.answered > 0 {
			values[metricRTT+".mean"] = one.sum / float64(one.answered) / 1e9
		}
		out = append(out, netp.Interval{
			Start:  time.Duration(int64(i) * r.length),
			Length: time.Duration(r.length),
			Values: values,
		})
	}
	return out
}
