package metrics

import (
	"cmp"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/netpupper/netp"
)

// series is a metric of sessions as Prometheus knows it.
type series struct {
	desc  *prometheus.Desc
	stats bool // several figures, told apart by the label stat
}

// point is one figure of a session.
type point struct {
	desc      *prometheus.Desc
	direction string
	stat      string // with series.stats
	value     float64
}

var pathLabels = []string{"suite", "test", "path", "source", "dest", "via"}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// names gives each metric of the catalogue its series. Kinds share them: a name
// means the same everywhere.
func names(c netp.Catalogue) map[netp.Kind]map[string]series {
	out := map[netp.Kind]map[string]series{}
	made := map[string]series{}
	for _, k := range c {
		out[k.Kind] = map[string]series{}
		for _, direction := range []netp.Direction{netp.Forward, netp.Both} {
			for _, spec := range k.Metrics(netp.Params{"direction": string(direction)}) {
				_, bare := directed(spec.Name)
				name := seriesName(bare, spec.Unit)
				if _, ok := made[name]; !ok {
					made[name] = newSeries(name, spec)
				}
				out[k.Kind][bare] = made[name]
			}
		}
	}
	return out
}

func newSeries(name string, spec netp.MetricSpec) series {
	s := series{stats: spec.Shape == netp.DistributionShape}
	labels := append(append([]string{}, pathLabels...), "direction")
	help := "Of the last session: " + cmp.Or(strings.TrimSuffix(spec.Doc, "."), spec.Name) + "."
	if s.stats {
		labels = append(labels, "stat")
	}
	s.desc = describe(name, help, labels...)
	return s
}

// directed takes the direction off a metric's name: reverse.loss.ratio.
func directed(name string) (direction, bare string) {
	if first, rest, ok := strings.Cut(name, "."); ok && (first == string(netp.Forward) || first == string(netp.Reverse)) {
		return first, rest
	}
	return "", name
}

// seriesName is netp_session_, the metric's name and its unit in words.
func seriesName(metric, unit string) string {
	name := strings.ReplaceAll(metric, ".", "_")
	suffix := ""
	switch unit {
	case "s":
		suffix = "_seconds"
	case "bit/s":
		suffix = "_bits_per_second"
	case "B":
		suffix = "_bytes"
	case "packets":
		name, suffix = strings.TrimSuffix(name, "_count"), "_packets"
	case "1":
		name, suffix = strings.TrimSuffix(name, "_ratio"), "_ratio"
	}
	return "netp_session_" + name + suffix
}

// stats are the figures told of a distribution.
var stats = []string{"min", "p50", "p95", "p99", "max", "mean"}

// result keeps of a record what is told.
func (m *Metrics) result(r netp.Record) result {
	p := r.Session.Path
	block := p.Addr // path.core["syd->mel"]: the pair has labels of its own
	if at := strings.LastIndexByte(block, '['); at > 0 {
		block = block[:at]
	}
	out := result{
		labels: []string{r.Suite, r.Test, block, string(p.Source), p.Dest, p.Via}, test: r.Test, path: p.Addr,
		ended: r.Written, status: r.Status, verdicts: map[string]netp.Status{},
	}
	for _, j := range r.Judgements {
		out.verdicts[j.Assertion] = j.Status
	}
	for name, measured := range r.Result.Metrics {
		direction, bare := directed(name)
		s, known := m.names[r.Session.Kind][bare]
		if known {
			out.points = append(out.points, points(s, direction, measured)...)
		}
	}
	return out
}

func points(s series, direction string, m netp.Measurement) []point {
	one := func(stat string, v float64) point { return point{s.desc, direction, stat, v} }
	switch {
	case s.stats && m.Distribution != nil && m.Distribution.All != nil && m.Distribution.Member("count") > 0:
		var out []point
		for _, stat := range stats {
			out = append(out, one(stat, m.Distribution.Member(stat)))
		}
		return out
	case !s.stats && m.Value != nil:
		return []point{one("", *m.Value)}
	case !s.stats && m.Ratio != nil && m.Ratio.Trials > 0:
		return []point{one("", float64(m.Ratio.Events)/float64(m.Ratio.Trials))}
	}
	return nil // nothing was measured
}
