package plan

import (
	"fmt"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang/assert"
	"github.com/netpupper/netp/lang/diag"
	"github.com/netpupper/netp/quantity"
)

// checkClocks warns of one-way assertions between agents whose clocks cannot
// carry them. Agents on one host read one clock, whatever its error. An agent
// that has not said anything of its clock yet is not judged.
func (b *builder) checkClocks(p *Plan) {
	for i := range p.Tests {
		t := &p.Tests[i]
		spec, _ := b.in.Catalogue.Find(t.Kind)
		metrics := spec.Metrics(t.Params)
		for _, a := range t.Assertions {
			limit, oneWay := tightest(a, metrics)
			if !oneWay {
				continue
			}
			for _, name := range b.unfit(b.test(t.Addr), limit) {
				b.warnClock(t, a, b.fleet.byName[name], limit)
			}
		}
	}
}

// tightest is the smallest limit that an assertion sets to a one-way metric, 0
// when it sets none.
func tightest(a assert.Assertion, metrics []netp.MetricSpec) (limit time.Duration, oneWay bool) {
	for _, name := range a.Metrics {
		m, _, ok := netp.FindMetric(metrics, name)
		oneWay = oneWay || ok && m.OneWay
	}
	if !oneWay {
		return 0, false
	}
	for _, c := range a.Comparisons() {
		m, _, ok := netp.FindMetric(metrics, c.Metric)
		if !ok || !m.OneWay || m.Unit != "s" || c.Value <= 0 {
			continue
		}
		if d := time.Duration(c.Value * 1e9); limit == 0 || d < limit {
			limit = d
		}
	}
	return limit, true
}

// unfit lists the agents of a test, sorted, whose clock is not fit for the limit.
func (b *builder) unfit(t *draft, limit time.Duration) []netp.AgentID {
	found := map[netp.AgentID]bool{}
	for _, s := range t.selected {
		ends := b.ends(s.Path)
		if len(ends) < 2 || ends[0].Host != "" && ends[0].Host == ends[1].Host {
			continue
		}
		for _, m := range ends {
			if m.Host != "" && !fit(m.Clock, limit) {
				found[m.Name] = true
			}
		}
	}
	return sorted(found)
}

// fit says that a clock is synchronised and that its bound leaves most of the limit.
func fit(c netp.ClockState, limit time.Duration) bool {
	return c.Known && c.Synchronised && (limit <= 0 || c.MaxError < limit/2)
}

func (b *builder) warnClock(t *Test, a assert.Assertion, m *member, limit time.Duration) {
	source := ""
	if m.Clock.Source != "" {
		source = " (" + m.Clock.Source + ")"
	}
	var state, effect string
	switch {
	case !m.Clock.Known:
		state, effect = "does not say whether its clock is synchronised", "will be inconclusive"
	case !m.Clock.Synchronised && m.Clock.MaxError > 0:
		state, effect = fmt.Sprintf("'s clock is not synchronised%s and off by up to %s", source, quantity.Duration(m.Clock.MaxError)), "will be inconclusive"
	case !m.Clock.Synchronised:
		state, effect = "'s clock is not synchronised"+source, "will be inconclusive"
	default:
		state = fmt.Sprintf("'s clock is off by up to %s%s", quantity.Duration(m.Clock.MaxError), source)
		effect = fmt.Sprintf("can only pass delays that much below its limit of %s", quantity.Duration(limit))
	}
	if state[0] != '\'' {
		state = " " + state
	}
	b.diags = append(b.diags, assertionFault(diag.Warning, "Clock not fit for one-way assertions", fmt.Sprintf(
		"%s%s. On its paths this assertion %s. Synchronise %s, or assert on rtt.", m.Name, state, effect, m.Name), t.Addr, a))
}
