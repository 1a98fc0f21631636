package sdk

import (
	"maps"
	"math"

	"github.com/netpupper/netp"
)

// Figures are the point figures of a result's metrics by name: loss.ratio.events, delay.p99, delay.uncertainty. Those for which
// there was nothing to measure are not among them.
func Figures(r netp.Result) map[string]float64 {
	all := map[string]float64{}
	for name, m := range r.Metrics {
		switch {
		case m.Ratio != nil:
			all[name] = m.Ratio.Value()
			all[name+".events"], all[name+".trials"] = float64(m.Ratio.Events), float64(m.Ratio.Trials)
		case m.Distribution != nil:
			for _, member := range netp.Members() {
				all[name+"."+member] = m.Distribution.Member(member)
			}
		case m.Value != nil:
			all[name] = *m.Value
		}
		if m.Uncertainty > 0 {
			all[name+".uncertainty"] = m.Uncertainty
		}
	}
	maps.DeleteFunc(all, func(_ string, v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
	return all
}
