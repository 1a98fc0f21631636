package plan

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/estimate"
	"github.com/netpupper/netp/lang/assert"
	"github.com/netpupper/netp/lang/diag"
	"github.com/netpupper/netp/quantity"
)

const (
	// detection is the probability with which a fault of the size Power.Detects is judged a fail.
	detection = 0.9
	// usualVariation is how much samples of a mean are taken to vary (standard
	// deviation over mean) before any is measured.
	usualVariation = 0.1
)

// quantiles are the members of a distribution that are quantiles.
var quantiles = map[string]float64{"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}

// judge sets the confidence of each assertion, and says what it can show.
func (b *builder) judge(p *Plan) {
	n := 0
	for _, t := range b.tests {
		n += len(t.selected) * len(t.Asserts)
	}
	for i := range p.Tests {
		t := &p.Tests[i]
		spec, _ := b.in.Catalogue.Find(t.Kind)
		for k := range t.Assertions {
			a := &t.Assertions[k]
			if b.in.Suite.FamilyRun {
				a.Confidence = assert.Family(n, a.Confidence)
			}
			b.weigh(p, t, spec, *a)
		}
	}
}

// weigh adds the power of one assertion, one entry per comparison in it.
func (b *builder) weigh(p *Plan, t *Test, spec netp.KindSpec, a assert.Assertion) {
	metrics := spec.Metrics(t.Params)
	settled, told := whatever(a, metrics), false
	for _, c := range a.Comparisons() {
		metric, member, ok := netp.FindMetric(metrics, c.Metric)
		if !ok {
			continue // the loader has reported it
		}
		w := weighing{test: t, a: a, limit: c, metric: metric, most: most(metric, member), length: measured(t), samples: samples(spec, t, metric)}
		w.limit.Unit = metric.Unit
		switch {
		case w.cannotFail():
			told = b.idle(w, settled == netp.Pass, "fail", "every path") || told
		case w.cannotPass():
			told = b.idle(w, settled == netp.Fail, "pass", "no path") || told
			continue
		case member != "count" && w.beyondTimeout():
			b.distant(w)
		}
		text := w.text(member)
		if text == "" {
			continue
		}
		p.Power = append(p.Power, Power{
			Test: t.Addr, Assertion: a.Name, Metric: c.Metric, Samples: w.samples,
			Needed: w.needed, Detects: w.detects, Text: fmt.Sprintf("%s %q: %s", t.Addr, a.Name, text),
		})
		if w.needed > 0 && w.decides() {
			b.undecidable(w, text)
		}
	}
	if !told {
		b.pointless(t, a, settled)
	}
}

// whatever is the verdict on an assertion over every figure that its metrics can have: pass or fail, where it says nothing of the path.
func whatever(a assert.Assertion, metrics []netp.MetricSpec) netp.Status {
	return a.Judge(func(name string) (netp.Estimate, error) {
		metric, member, ok := netp.FindMetric(metrics, name)
		switch {
		case !ok:
			return netp.Estimate{}, errors.New("not a metric of the kind")
		case most(metric, member) > 0:
			return netp.Estimate{High: most(metric, member)}, nil
		}
		signed := metric.Shape == netp.ValueShape || metric.OneWay && member != "stddev" && member != "count"
		return netp.Estimate{OpenLow: signed, OpenHigh: true}, nil
	}).Status
}

// weighing is one comparison being weighed.
type weighing struct {
	test    *Test
	a       assert.Assertion
	limit   netp.Limit
	metric  netp.MetricSpec
	most    float64
	samples uint64
	length  time.Duration // of the measurement
	needed  uint64
	detects float64
}

// measured is how long a session measures: its traffic without the warm-up.
func measured(t *Test) time.Duration {
	return max(0, t.Demand.Duration-t.Params.Duration("omit"))
}

// samples is how many samples a session makes of a metric: packets of one
// direction without the warm-up, or intervals.
func samples(spec netp.KindSpec, t *Test, m netp.MetricSpec) uint64 {
	switch m.Basis {
	case netp.PerInterval:
		return uint64(max(0, t.Demand.Intervals))
	case netp.PerPacket:
		// The demand of one direction alone, so that the other's feedback does not count.
		alone := maps.Clone(t.Params)
		delete(alone, "omit")
		if alone.Has("direction") {
			alone["direction"] = string(netp.Forward)
		}
		return spec.Demand(alone).Forward.Packets
	}
	return 1
}

// text says what the comparison can show, and notes what it lacks; "" when there
// is nothing to say: exact figures, unknown numbers of samples.
func (w *weighing) text(member string) string {
	if w.samples == 0 {
		return ""
	}
	q, isQuantile := quantiles[member]
	switch {
	case w.metric.Shape == netp.RatioShape:
		return w.ratio()
	case isQuantile:
		return w.quantile(q)
	case member == "mean":
		return w.mean()
	}
	return ""
}

// upper reports whether the comparison asks for little: "<=" or "<".
func (w *weighing) upper() bool { return strings.HasPrefix(w.limit.Op, "<") }

// lower reports whether it asks for much.
func (w *weighing) lower() bool { return strings.HasPrefix(w.limit.Op, ">") }

func isShare(m netp.MetricSpec) bool { return m.Shape == netp.RatioShape || m.Share }

// most is the largest value that a figure of a metric can have, the least being 0; 0 for no bound.
func most(m netp.MetricSpec, member string) float64 {
	switch {
	case isShare(m):
		return 1
	case member == "count":
		return 0
	}
	return m.Most
}

// cannotFail reports whether the limit is one that no figure exceeds.
func (w *weighing) cannotFail() bool {
	return w.most > 0 && w.upper() && (w.limit.Value > w.most || w.limit.Value == w.most && w.limit.Op == "<=")
}

// cannotPass reports whether the limit is one that no figure keeps.
func (w *weighing) cannotPass() bool {
	value := w.limit.Value
	return w.most > 0 && w.limit.Op != "!=" &&
		(value > w.most && !w.upper() || value == w.most && w.limit.Op == ">" || value < 0 && !w.lower() || value == 0 && w.limit.Op == "<")
}

// beyondTimeout reports whether the limit is on a time that no packet takes, but for the error of the clocks: it is lost before.
func (w *weighing) beyondTimeout() bool {
	timeout := w.test.Params.Duration("timeout").Seconds()
	return timeout > 0 && w.metric.Unit == "s" && w.metric.Basis == netp.PerPacket && w.limit.Value > timeout
}

// decides reports whether the assertion fails when this comparison does, whatever the others say: not where it stands below an "||".
func (w *weighing) decides() bool {
	others := w.a.Comparisons()
	verdict := w.a.Judge(func(metric string) (netp.Estimate, error) {
		value := beyond(w.limit)
		if metric != w.limit.Metric {
			i := slices.IndexFunc(others, func(l netp.Limit) bool { return l.Metric == metric })
			if i < 0 {
				return netp.Estimate{}, errors.New("not compared with a limit")
			}
			value = within(others[i])
		}
		return netp.Estimate{Metric: metric, Point: value, Low: value, High: value}, nil
	})
	return verdict.Status == netp.Fail
}

// within is the value next to a limit that keeps it, beyond the one that does not.
func within(l netp.Limit) float64 {
	switch l.Op {
	case "<":
		return math.Nextafter(l.Value, math.Inf(-1))
	case ">", "!=":
		return math.Nextafter(l.Value, math.Inf(1))
	}
	return l.Value
}

func beyond(l netp.Limit) float64 {
	switch l.Op {
	case "<=", "==":
		return math.Nextafter(l.Value, math.Inf(1))
	case ">=":
		return math.Nextafter(l.Value, math.Inf(-1))
	}
	return l.Value
}

func (w *weighing) ratio() string {
	limit := w.limit.Value
	none, all := w.limit.Op == "==" && limit == 0, w.limit.Op == "==" && limit == 1 // the ends are limits of one side
	switch {
	case w.lower(), all: // a share of at least x is a share of what fails of at most 1 − x
		limit = 1 - limit
	case w.limit.Op == "==" && limit > 0 && limit < 1:
		w.needed = math.MaxUint64
		return w.cannot(w.needed)
	case !w.upper() && !none:
		return ""
	}
	detects := estimate.RatioDetects(w.samples, max(0, limit), w.a.Confidence, detection)
	needed := estimate.RatioNeeded(limit, w.a.Confidence)
	able := fmt.Sprintf("no share would be judged a fail with certainty (%s)", w.basis())
	if detects < 1 {
		shown := detects
		if w.lower() || all {
			shown = 1 - detects
		}
		w.detects = shown
		able = fmt.Sprintf("would fail a path with %s %s (%s)", w.limit.Metric, figure(shown, w.metric.Unit), w.basis())
	}
	if needed <= w.samples {
		return able
	}
	w.needed = needed
	return able + "; " + w.cannot(needed)
}

func (w *weighing) quantile(q float64) string {
	tail := q
	if w.upper() {
		tail = 1 - q
	} else if !w.lower() {
		return ""
	}
	needed := estimate.RatioNeeded(tail, w.a.Confidence)
	if needed > w.samples {
		w.needed = needed
		return w.cannot(needed)
	}
	return fmt.Sprintf("%s from %s; %s bound it if they are independent", w.limit.Metric, w.basis(), quantity.Count(estimate.QuantileUsual(tail, w.a.Confidence)))
}

func (w *weighing) mean() string {
	margin := estimate.MeanMargin(w.samples, usualVariation, w.a.Confidence)
	if math.IsInf(margin, 0) {
		w.needed = 2
		return w.cannot(2)
	}
	return fmt.Sprintf("%s within ± %s if its samples vary by %s (%s)", w.limit.Metric,
		quantity.Format(margin, "1"), quantity.Format(usualVariation, "1"), w.basis())
}

// basis is what the statement rests on: "3 000 packets, 95 %".
func (w *weighing) basis() string {
	return fmt.Sprintf("%s %s, %s", quantity.Count(w.samples), w.metric.Basis, quantity.Format(w.a.Confidence, "1"))
}

// cannot says what is missing: "cannot show loss.ratio <= 0.05 %: needs 7 376
// packets, that is 148 s".
func (w *weighing) cannot(needed uint64) string {
	claim := fmt.Sprintf("%s %s %s", w.limit.Metric, w.limit.Op, quantity.Exact(w.limit.Value, w.limit.Unit))
	if needed == math.MaxUint64 {
		return fmt.Sprintf("cannot show %s: no number of %s can", claim, w.metric.Basis)
	}
	text := fmt.Sprintf("cannot show %s: needs %s %s", claim, quantity.Count(needed), w.metric.Basis)
	if w.length > 0 {
		seconds := w.length.Seconds() * float64(needed) / float64(w.samples)
		text += ", that is " + quantity.Format(roundUp(seconds), "s")
	}
	return text
}

// roundUp rounds to three significant digits, never below what is needed.
func roundUp(v float64) float64 {
	step := math.Pow(10, math.Floor(math.Log10(v))-2)
	return math.Ceil(v/step) * step
}

// undecidable warns that not even a faultless path would pass.
func (b *builder) undecidable(w weighing, text string) {
	advice := "Measure longer, or send more packets, or assert a wider limit."
	switch {
	case w.needed == math.MaxUint64 && w.limit.Value > 0 && w.limit.Value < 1:
		advice = "A share is known within bounds, never exactly: assert between which limits it must lie."
	case w.needed == math.MaxUint64:
		advice = "Assert a limit above zero, or on the count, which is exact for the session."
	}
	_, gap, found := strings.Cut(text, "; ")
	if !found {
		gap = text
	}
	b.diags = append(b.diags, assertionFault(diag.Warning, "Assertion cannot be decided", fmt.Sprintf(
		"A session of %s measures %s %s. At a confidence of %s that %s. A path without any fault would be inconclusive. %s",
		w.test.Addr, quantity.Count(w.samples), w.metric.Basis, quantity.Format(w.a.Confidence, "1"), gap, advice), w.test.Addr, w.a))
}

// idle warns of a comparison that says nothing, and of whose shares it is true. What the assertion cannot do is told where the
// comparison settles it, and true returned then; it may be one of several.
func (b *builder) idle(w weighing, settles bool, verdict, who string) bool {
	number := strconv.FormatFloat(w.limit.Value, 'g', -1, 64)
	what, advice := "a share, from 0 to 1", "Assert a limit between 0 and 1."
	switch unlimited := w.limit.Value <= 0 || w.limit.Value >= 100; {
	case !isShare(w.metric):
		what, advice = "at most "+quantity.Format(w.most, w.metric.Unit)+" with the parameters of "+w.test.Profile, lowerLimit(w, w.most)
	case !unlimited:
		advice = fmt.Sprintf("A limit in percent is written %s * percent.", number)
	}
	summary := "Assertion cannot " + verdict
	if !settles {
		summary = "Comparison says nothing"
	}
	b.diags = append(b.diags, assertionFault(diag.Warning, summary, fmt.Sprintf(
		"%s is %s, so that %s %s %s is true of %s. %s",
		w.limit.Metric, what, w.limit.Metric, w.limit.Op, number, who, advice), w.test.Addr, w.a))
	return settles
}

// distant warns of a limit beyond the timeout.
func (b *builder) distant(w weighing) {
	timeout := w.test.Params.Duration("timeout")
	b.diags = append(b.diags, assertionFault(diag.Warning, "Limit beyond the timeout", fmt.Sprintf(
		"A packet that takes longer than the timeout of %s is lost, so that %s hardly comes to %s. %s",
		quantity.Duration(timeout), w.limit.Metric, quantity.Exact(w.limit.Value, "s"), lowerLimit(w, timeout.Seconds())), w.test.Addr, w.a))
}

// lowerLimit is what to do about a limit that a metric does not come to: perhaps its unit is missing.
func lowerLimit(w weighing, most float64) string {
	if w.metric.Unit == "s" && w.limit.Value > 0 && w.limit.Value/1000 < most {
		return fmt.Sprintf("A limit in milliseconds is written %s * ms.", strconv.FormatFloat(w.limit.Value, 'g', -1, 64))
	}
	return "Assert a lower limit."
}

// pointless warns of an assertion that is settled before anything is measured, though none of its comparisons tells.
func (b *builder) pointless(t *Test, a assert.Assertion, settled netp.Status) {
	verdict, truth := "fail", "true"
	switch settled {
	case netp.Fail:
		verdict, truth = "pass", "false"
	case netp.Pass:
	default:
		return
	}
	b.diags = append(b.diags, assertionFault(diag.Warning, "Assertion cannot "+verdict, fmt.Sprintf(
		"The condition is %s whatever is measured: a share lies between 0 and 1, a round trip within its timeout, and nothing but a value or a one-way delay is below 0. Assert a limit that a path can break and keep.",
		truth), t.Addr, a))
}

// assertionFault makes a diagnostic that points at an assertion's condition.
func assertionFault(severity diag.Severity, summary, detail, test string, a assert.Assertion) diag.Diagnostic {
	d := diag.Diagnostic{Severity: severity, Summary: summary, Detail: detail, Address: test}
	if a.Location.File == "" {
		return d
	}
	at := diag.Pos{Line: a.Location.Line, Column: 1}
	d.Range = &diag.Range{Filename: a.Location.File, Start: at, End: at}
	d.Snippet = &diag.Snippet{
		Context: fmt.Sprintf("test %q, assert %q", strings.TrimPrefix(test, "test."), a.Name),
		Code:    "condition = " + a.Condition, StartLine: a.Location.Line,
		HighlightStartOffset: len("condition = "), HighlightEndOffset: len("condition = ") + len(a.Condition),
		Values: []diag.Value{},
	}
	return d
}

func figure(v float64, unit string) string { return quantity.Format(v, unit) }
