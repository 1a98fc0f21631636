package assert_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/estimate"
	"github.com/netpupper/netp/lang/assert"
)

func metrics() []netp.MetricSpec {
	return []netp.MetricSpec{
		{Name: "loss.ratio", Unit: "1", Shape: netp.RatioShape, Basis: netp.PerPacket},
		{Name: "loss.count", Unit: "packets", Shape: netp.CountShape, Basis: netp.PerPacket},
		{Name: "delay", Unit: "s", Shape: netp.DistributionShape, Basis: netp.PerPacket, OneWay: true},
		{Name: "throughput", Unit: "bit/s", Shape: netp.DistributionShape, Basis: netp.PerInterval},
		{Name: "jitter", Unit: "s", Shape: netp.ValueShape, Basis: netp.PerSession},
	}
}

func source(condition string) assert.Source {
	return assert.Source{
		Name: "a", Condition: condition, Kind: "udp", Metrics: metrics(), Confidence: 0.95,
		Constants: map[string]cty.Value{
			"var": cty.ObjectVal(map[string]cty.Value{
				"max_loss": cty.NumberFloatVal(0.1), "name": cty.StringVal("voice"), "strict": cty.True,
				"secret": cty.NumberIntVal(5).Mark("sensitive"), "later": cty.UnknownVal(cty.Number),
			}),
			"local": cty.ObjectVal(map[string]cty.Value{"limits": cty.MapVal(map[string]cty.Value{"p99": cty.NumberFloatVal(0.06)})}),
		},
		Functions: map[string]function.Function{
			"max": stdlib.MaxFunc, "min": stdlib.MinFunc, "abs": stdlib.AbsoluteFunc, "pow": stdlib.PowFunc, "log": stdlib.LogFunc, "format": stdlib.FormatFunc,
			"tonumber": stdlib.MakeToFunc(cty.Number), "length": stdlib.LengthFunc,
		},
		Location: netp.Location{File: "a.netp.hcl", Line: 3},
	}
}

func compile(t *testing.T, in assert.Source) assert.Assertion {
	t.Helper()
	a, problems := assert.Compile(in)
	if len(problems) > 0 {
		t.Fatalf("%s: %+v", in.Condition, problems)
	}
	return a
}

// given answers with fixed estimates; other metrics have no data.
func given(estimates ...netp.Estimate) func(string) (netp.Estimate, error) {
	return func(metric string) (netp.Estimate, error) {
		for _, e := range estimates {
			if e.Metric == metric {
				return e, nil
			}
		}
		return netp.Estimate{}, &estimate.NoDataError{Metric: metric, Reason: "The session produced no samples."}
	}
}

func between(metric, unit string, low, point, high float64) netp.Estimate {
	return netp.Estimate{Metric: metric, Unit: unit, Point: point, Low: low, High: high, Confidence: 0.95,
		Samples: 3000, Effective: 3000, Basis: netp.PerPacket, Method: estimate.MethodOrderStatistics}
}

func session() []netp.Estimate {
	loss := between("loss.ratio", "1", 0.0023, 0.0043333, 0.0074)
	loss.Method = estimate.MethodClopperPearson
	open := between("delay.p999", "s", 0.050, 0.055, 0.055)
	open.OpenHigh = true
	count := netp.Estimate{Metric: "loss.count", Unit: "packets", Point: 13, Low: 13, High: 13, Confidence: 1, Method: estimate.MethodExact}
	none := count
	none.Metric, none.Point, none.Low, none.High = "jitter", 0, 0, 0
	return []netp.Estimate{
		loss, count, open, none,
		between("delay.p50", "s", 0.029, 0.030, 0.031),
		between("delay.p99", "s", 0.038, 0.040, 0.042),
	}
}

func TestJudge(t *testing.T) {
	for condition, want := range map[string]netp.Status{
		"loss.ratio <= 1 * percent":   netp.Pass,
		"loss.ratio <= 0.1 * percent": netp.Fail,
		"loss.ratio <= 0.5 * percent": netp.Inconclusive,
		"1 * percent >= loss.ratio":   netp.Pass,
		"delay.p99 <= 42 * ms":        netp.Pass, // the bound itself
		"delay.p99 < 42 * ms":         netp.Inconclusive,
		"delay.p99 < 38 * ms":         netp.Fail,
		"delay.p99 >= 38 * ms":        netp.Pass,
		"delay[\"p99\"] <= 50 * ms":   netp.Pass,

		"loss.ratio <= 1 * percent && delay.p99 <= 60 * ms":   netp.Pass,
		"loss.ratio <= 0.1 * percent && delay.p99 <= 40 * ms": netp.Fail,
		"loss.ratio <= 1 * percent && delay.p99 <= 40 * ms":   netp.Inconclusive,
		"loss.ratio <= 1 * percent || delay.p99 <= 40 * ms":   netp.Pass,
		"!(loss.ratio > 1 * percent)":                         netp.Pass,
		"!(delay.p99 > 40 * ms)":                              netp.Inconclusive,

		"delay.p99 - delay.p50 <= 14 * ms":                         netp.Pass,
		"delay.p99 - delay.p50 <= 10 * ms":                         netp.Inconclusive,
		"delay.p99 / delay.p50 < 2":                                netp.Pass,
		"-delay.p99 >= -42 * ms":                                   netp.Pass,
		"abs(delay.p50 - delay.p99) <= 14 * ms":                    netp.Pass,
		"max(delay.p50, delay.p99) <= 41 * ms":                     netp.Inconclusive,
		"min(delay.p50, delay.p99, 1) <= 31 * ms":                  netp.Pass,
		"ceil(delay.p99 / ms) <= 42":                               netp.Pass,
		"floor(delay.p99 / ms) >= 39":                              netp.Inconclusive,
		"delay.p99 * (loss.ratio - 0.5 * percent) <= 1":            netp.Pass,
		"pow(delay.p99 / ms, 2) <= 1765":                           netp.Pass,
		"pow(delay.p99 / ms, 2) <= 1700":                           netp.Inconclusive,
		"pow(delay.p99 / ms, -1) > 0.02":                           netp.Pass,
		"pow(delay.p50 - delay.p99, 2) > 0.00004":                  netp.Pass,
		"pow(delay.p50 - delay.p99, 3) > 0":                        netp.Fail,
		"pow(loss.ratio - 0.005, 2) <= 0.00001":                    netp.Pass, // on both sides of zero
		"pow(delay.p50 - delay.p99, 0.5) < 1":                      netp.Inconclusive,
		"pow(loss.ratio - 0.005, -2) > 1":                          netp.Inconclusive, // not defined at zero
		"pow(2, loss.ratio) < 1.01":                                netp.Pass,
		"pow(loss.ratio, loss.ratio) < 2":                          netp.Inconclusive,
		"pow(delay.p999, 2) <= 1":                                  netp.Inconclusive, // open
		"pow(delay.p999, 2) >= 0.0024":                             netp.Pass,
		"log(delay.p99 / ms, 10) < 1.7":                            netp.Pass,
		"log(delay.p99 / ms, 10) < 1.6":                            netp.Inconclusive,
		"log(loss.ratio, 0.1) > 2":                                 netp.Pass,
		"log(delay.p50 - delay.p99, 10) < 9":                       netp.Inconclusive,
		"pow(loss.count, 2) == 169":                                netp.Pass, // but known at a point
		"loss.count == 13":                                         netp.Pass,
		"loss.count != 13":                                         netp.Fail,
		"loss.count == \"13\"":                                     netp.Pass,
		"\"12\" != loss.count":                                     netp.Pass,
		"(loss.count == 13) == \"true\"":                           netp.Pass,
		"\"${loss.count}\" == 13":                                  netp.Pass,
		"\"v${loss.count}\" == 13":                                 netp.Errored,
		"delay.p99 == \"0.04\"":                                    netp.Inconclusive,
		"loss.count % 2 == 1":                                      netp.Pass,
		"delay.p99 == 40 * ms":                                     netp.Inconclusive,
		"delay.p99 == 50 * ms":                                     netp.Fail,
		"delay.p99 != 50 * ms":                                     netp.Pass,
		"(delay.p99 <= 40 * ms ? 1 : 2) <= 2":                      netp.Pass,
		"delay.p99 <= 40 * ms ? loss.count < 20 : loss.count < 14": netp.Pass,
		"delay.p99 <= 40 * ms ? loss.count < 20 : loss.count < 2":  netp.Inconclusive,
		"(loss.count < 20) == (delay.p99 < 50 * ms)":               netp.Pass,
		"var.strict ? loss.ratio <= 1 * percent : true":            netp.Pass,
		"loss.ratio <= var.max_loss * percent":                     netp.Fail,
		"delay.p99 <= local.limits.p99":                            netp.Pass,
		"delay.p99 <= local.limits[\"p99\"]":                       netp.Pass,
		"loss.ratio <= tonumber(\"0.01\")":                         netp.Pass,
		"loss.ratio <= length([for x in [1, 2] : x if x > 5])":     netp.Fail,
		"\"v${delay.p99}\" == \"x\"":                               netp.Inconclusive,

		// open side, zero divisor, no data
		"delay.p999 <= 1":                            netp.Inconclusive,
		"delay.p999 <= 49 * ms":                      netp.Fail,
		"delay.p999 >= 50 * ms":                      netp.Pass,
		"delay.p999 * 0 <= 1":                        netp.Pass,
		"delay.p99 / jitter <= 1":                    netp.Inconclusive,
		"throughput.mean >= 1 * Mbps":                netp.Inconclusive,
		"throughput.mean >= 1 || loss.count < 14":    netp.Inconclusive, // no pass without all data
		"throughput.mean >= 1 && loss.count < 2":     netp.Fail,
		"throughput.mean >= throughput.mean || true": netp.Inconclusive,
	} {
		a := compile(t, source(condition))
		j := a.Judge(given(session()...))
		if j.Status != want {
			t.Errorf("%s: got %s (%s), want %s", condition, j.Status, j.Reason, want)
		}
		if j.Reason == "" {
			t.Errorf("%s: no reason", condition)
		}
		if j.Condition != condition || j.Location.Line != 3 || j.Severity != netp.SeverityError || j.Assertion != "a" {
			t.Errorf("%s: %+v", condition, j)
		}
	}
}

func TestResultThatIsNoNumber(t *testing.T) {
	j := compile(t, source("pow(loss.count - 14, 0.5) <= 1")).Judge(given(session()...))
	want := "The condition could not be evaluated: pow: for these values there is no result, or none that is a number."
	if j.Status != netp.Errored || j.Reason != want {
		t.Errorf("got %s: %s\nwant %s", j.Status, j.Reason, want)
	}
}

func TestAssertionSurvivesJSON(t *testing.T) {
	in := source("loss.ratio <= var.max_loss * percent && delay.p99 <= tonumber(\"0.05\") * local.limits.p99")
	in.Message = "\"${var.name} ${delay.p99 / ms}\""
	a := compile(t, in)
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var back assert.Assertion
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a.Judge(given(session()...)), back.Judge(given(session()...))); diff != "" {
		t.Errorf("after JSON the judgement differs:\n%s", diff)
	}
	if s := string(a.Constants); strings.Contains(s, "secret") || strings.Contains(s, "strict") || !strings.Contains(s, "max_loss") {
		t.Errorf("constants are %s, want only those referred to", s)
	}
	if diff := cmp.Diff([]string{"delay.p99", "loss.ratio"}, a.Metrics); diff != "" {
		t.Errorf("metrics:\n%s", diff)
	}
}

func TestCallsAreMadeOnceWhenTheSuiteIsLoaded(t *testing.T) {
	calls := 0
	in := source("loss.ratio <= limit()")
	in.Functions["limit"] = function.New(&function.Spec{
		Type: function.StaticReturnType(cty.Number),
		Impl: func([]cty.Value, cty.Type) (cty.Value, error) { calls++; return cty.NumberFloatVal(0.01), nil },
	})
	a := compile(t, in)
	before := calls
	if j := a.Judge(given(session()...)); j.Status != netp.Pass || before == 0 || calls != before {
		t.Errorf("%s, %d calls when loaded, %d after: %s", j.Status, before, calls, j.Reason)
	}
}

func TestMessage(t *testing.T) {
	for message, want := range map[string]string{
		`"needs 60 ms, saw ${format("%.1f", delay.p99 / ms)} ms"`: "needs 60 ms, saw 40.0 ms",
		`"${delay.p99 / ms} ms of ${var.name}"`:                   "40 ms of voice",
		`"plain"`:                                                 "plain",
		`"${loss.count > 5 ? "many" : "few"}"`:                    "many",
		`"${throughput.mean} bit/s"`:                              "unknown bit/s",
		`"${format("%.1f", throughput.mean)}"`:                    "unknown",
		`var.name`:                                                "voice",
		`loss.count`:                                              "13",
		"\"" + strings.Repeat("ä", 2000) + "\"":                   strings.Repeat("ä", 510) + "…",
		`"${upper("x")}${[for x in ["a"] : x][0]}"`:               "Xa",
	} {
		in := source("loss.ratio <= 0.1 * percent")
		in.Message = message
		in.Functions["upper"] = stdlib.UpperFunc
		if got := compile(t, in).Judge(given(session()...)).Message; got != want {
			t.Errorf("%.60s: got %.80q, want %.80q", message, got, want)
		}
	}
	in := source("loss.ratio <= 1 * percent")
	in.Message = `"too much"`
	if j := compile(t, in).Judge(given(session()...)); j.Message != "" {
		t.Errorf("a pass says %q", j.Message)
	}
}

func TestReasonsAndRemedies(t *testing.T) {
	clock := between("delay.p99", "s", 0.014, 0.052, 0.090)
	clock.Uncertainty = 0.038
	loss := session()[0]
	none := netp.Estimate{Metric: "loss.ratio", Unit: "1", High: 3.6889 / 100000, Confidence: 0.95, Samples: 100000, Effective: 100000, Basis: netp.PerPacket, Method: estimate.MethodClopperPearson}
	all := none
	all.Point, all.Low, all.High = 1, 1-none.High, 1
	few := netp.Estimate{Metric: "delay.mean", Unit: "s", Point: 0.03, Low: 0.03, High: 0.03, OpenLow: true, OpenHigh: true,
		Confidence: 0.95, Samples: 3, Effective: 3, Basis: netp.PerPacket, Method: estimate.MethodBatchMeans}
	for _, c := range []struct {
		condition      string
		e              netp.Estimate
		reason, settle string
	}{
		{"delay.p99 <= 90 * ms", clock, "delay.p99 is at most the limit.", ""},
		{"delay.p99 < 14 * ms", clock, "delay.p99 is at least the limit.", ""},
		{"loss.count <= 13", session()[1], "loss.count is exactly on the limit.", ""},
		{"delay.mean <= 60 * ms", few,
			"delay.mean has no bounds: there are too few samples.",
			"Would be bounded by about 2 × as many packets (≈ 6)."},
		{"loss.ratio <= 0.1 * percent", loss,
			"loss.ratio is above the limit by at least 0.13 points.", ""},
		{"delay.p99 <= 12.423 * ms", clock, "delay.p99 is above the limit by at least 1.5 ms.", ""}, // 1.577
		{"delay.p99 <= 60 * ms", clock,
			"delay.p99 may lie on either side of the limit.",
			"Would be decided by a clock bound under 8 ms."},
		{"delay.p99 <= 60.999 * ms", clock,
			"delay.p99 may lie on either side of the limit.",
			"Would be decided by a clock bound under 8.9 ms."},
		{"loss.ratio <= 0.5 * percent", loss,
			"loss.ratio may lie on either side of the limit.",
			"Would be decided by about 14.4 × as many packets (≈ 44 000)."},
		{"loss.ratio <= 0.1 * percent", none,
			"loss.ratio is below the limit by at least 0.096 points; this holds for bursts of up to 27 packets on average.", ""},
		{"loss.ratio >= 99.9 * percent", all,
			"loss.ratio is above the limit by at least 0.096 points; this holds for bursts of up to 27 packets on average.", ""},
		{"delay.p99 - delay.p99 <= 60 * ms", clock,
			"The condition holds for some values the intervals allow and fails for others: delay.p99 52 ms (14 ms to 90 ms, 95 %, clock ± 38 ms; 3 000 packets).", ""},
		{"throughput.mean >= 1 * Gbps", clock, "No data for throughput.mean: The session produced no samples.", ""},
	} {
		j := compile(t, source(c.condition)).Judge(given(c.e))
		if j.Reason != c.reason || j.Settle != c.settle {
			t.Errorf("%s:\n got %s\n     %s\nwant %s\n     %s", c.condition, j.Reason, j.Settle, c.reason, c.settle)
		}
	}
}

func TestComparisons(t *testing.T) {
	a := compile(t, source("delay.p99 <= 60 * ms && !(loss.ratio > var.max_loss * percent) || 5 < loss.count && delay.p50 / ms < 3"))
	want := []netp.Limit{
		{Metric: "delay.p99", Op: "<=", Value: 0.06},
		{Metric: "loss.ratio", Op: "<=", Value: 0.001},
		{Metric: "loss.count", Op: ">", Value: 5},
	}
	if diff := cmp.Diff(want, a.Comparisons()); diff != "" {
		t.Error(diff)
	}
	limits := a.Judge(given(session()...)).Limits
	if len(limits) != 3 || limits[0].Unit != "s" || limits[2].Unit != "packets" {
		t.Errorf("limits: %+v", limits)
	}
}

// TestBranchNotTaken: what stands in it is neither a limit of the session nor a reason.
func TestBranchNotTaken(t *testing.T) {
	for condition, want := range map[string][]float64{
		"var.strict ? loss.ratio <= 0.1 * percent : loss.ratio <= 0.2 * percent":     {0.001},
		"!var.strict ? loss.ratio <= 0.1 * percent : loss.ratio <= 0.2 * percent":    {0.002},
		"loss.count > 5 ? loss.ratio <= 0.1 * percent : loss.ratio <= 0.2 * percent": {0.001},
	} {
		a := compile(t, source(condition))
		j := a.Judge(given(session()...))
		var got []float64
		for _, l := range j.Limits {
			got = append(got, l.Value)
		}
		if !cmp.Equal(got, want) || strings.Count(j.Reason, "above the limit") != 1 {
			t.Errorf("%s: limits %v, reason %q, want limits %v", condition, got, j.Reason, want)
		}
		if n := len(a.Comparisons()); strings.Contains(condition, "var.strict") && n != 1 {
			t.Errorf("%s: %d comparisons before the session, want 1", condition, n)
		}
	}
}

func TestUnits(t *testing.T) {
	for name, want := range map[string]float64{
		"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600,
		"bps": 1, "kbps": 1e3, "Mbps": 1e6, "Gbps": 1e9,
		"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1024, "MiB": 1 << 20, "percent": 0.01, "ppm": 1e-6,
	} {
		if got, _ := assert.Units()[name].AsBigFloat().Float64(); got != want {
			t.Errorf("%s: got %g, want %g", name, got, want)
		}
	}
}

func TestFamily(t *testing.T) {
	for n, want := range map[int]float64{-1: 0.95, 0: 0.95, 1: 0.95, 10: 0.995, 100: 0.9995} {
		if got := assert.Family(n, 0.95); math.Abs(got-want) > 1e-12 {
			t.Errorf("%d assertions: got %g, want %g", n, got, want)
		}
	}
}
