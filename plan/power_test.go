package plan

import (
	"maps"
	"math"
	"strings"
	"testing"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/estimate"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/lang/assert"
)

func TestPower(t *testing.T) {
	both := netp.Params{"rate": "100pps", "size": 200.0, "duration": 50.0, "omit": 10.0, "direction": "both"}
	for _, c := range []struct {
		name    string
		p       lang.Profile
		a       assert.Assertion
		samples uint64
		needed  uint64
		says    string // "" for nothing to say
	}{
		{"enough for a ratio", voice, condition("x", "loss.ratio <= 1 * percent", "loss.ratio"), 3000, 0, "would fail a path with loss.ratio 1.75 % (3 000 packets, 95 %)"},
		{"too few for a ratio", voice, condition("x", "loss.ratio <= 0.05 * percent", "loss.ratio"), 3000, 7376, "needs 7 376 packets, that is 148 s"},
		{"a ratio from below", web, condition("x", "ok.ratio > 0.5", "ok.ratio"), 20, 0, "would fail a path with ok.ratio"},
		{"a share of at most all", voice, condition("x", "loss.ratio <= 1", "loss.ratio"), 3000, 0, "no share would be judged a fail"},
		{"no warm-up, no reports", profile("udp", "u", both), condition("x", "forward.loss.ratio <= 1 * percent", "forward.loss.ratio"), 5000, 0, "5 000 packets"},
		{"a quantile", voice, condition("x", "delay.p99 <= 60 * ms", "delay.p99"), 3000, 0, "delay.p99 from 3 000 packets, 95 %; 1 104 bound it if they are independent"},
		{"a quantile out of reach", voice, condition("x", "delay.p999 <= 60 * ms", "delay.p999"), 3000, 3688, "cannot show delay.p999 <= 60 ms: needs 3 688 packets"},
		{"a high quantile from below", voice, condition("x", "delay.p999 >= 1 * ms", "delay.p999"), 3000, 0, "delay.p999 from 3 000 packets, 95 %; 12 bound it if they are independent"},
		{"a mean", bulk, condition("x", "throughput.mean >= 1 * Mbps", "throughput.mean"), 100, 0, "throughput.mean within ± 1.98 % if its samples vary by 10 % (100 intervals, 95 %)"},
		{"a mean of one interval", profile("tcp", "short", netp.Params{"duration": 0.1}), condition("x", "throughput.mean >= 1", "throughput.mean"), 1, 2, "needs 2 intervals"},
		{"no loss at all", voice, condition("x", "loss.ratio == 0", "loss.ratio"), 3000, math.MaxUint64, "cannot show loss.ratio == 0 %: no number of packets can"},
		{"all of it", web, condition("x", "ok.ratio == 1", "ok.ratio"), 20, math.MaxUint64, "would fail a path with ok.ratio"},
		{"a share in between", voice, condition("x", "loss.ratio == 0.5", "loss.ratio"), 3000, math.MaxUint64, "cannot show loss.ratio == 50 %: no number of packets can"},
		{"an exact figure", voice, condition("x", "loss.count == 0", "loss.count"), 0, 0, ""},
		{"the other end of a comparison", voice, condition("x", "1 * percent >= loss.ratio", "loss.ratio"), 3000, 0, "would fail a path"},
	} {
		s := threeSites()
		if c.p.Kind == "http" {
			s.Paths[0] = lang.Path{Addr: "path.core", From: ends("syd"), To: ends("https://x.example/")}
		}
		s.Tests = []lang.Test{test("t", c.p, "core")}
		s.Tests[0].Asserts = []assert.Assertion{c.a}
		p := build(t, input(s))
		if c.says == "" {
			if len(p.Power) != 0 {
				t.Errorf("%s: got %+v, want nothing", c.name, p.Power)
			}
			continue
		}
		if len(p.Power) != 1 {
			t.Errorf("%s: got %d statements, want 1", c.name, len(p.Power))
			continue
		}
		got := p.Power[0]
		if got.Samples != c.samples || got.Needed != c.needed || !strings.Contains(got.Text, c.says) {
			t.Errorf("%s: got %+v, want %d samples, %d needed, %q", c.name, got, c.samples, c.needed, c.says)
		}
		warned := false
		for _, w := range p.Warnings {
			warned = warned || w.Summary == "Assertion cannot be decided"
		}
		if warned != (c.needed > 0) {
			t.Errorf("%s: warned %t, %d needed", c.name, warned, c.needed)
		}
	}
}

// What the plan says it would detect is what the estimate says.
func TestPowerDetects(t *testing.T) {
	p := build(t, input(threeSites()))
	for _, power := range p.Power {
		if power.Metric != "loss.ratio" {
			continue
		}
		if want := estimate.RatioDetects(3000, 0.001, 0.95, 0.9); power.Detects != want || want < 0.003 || want > 0.005 {
			t.Errorf("got %v, want %v", power.Detects, want)
		}
	}
}

// A limit that is no limit is told; what a session cannot show is told only where the assertion needs it.
func TestWarningsOfConditions(t *testing.T) {
	const undecided, infallible, hopeless = "Assertion cannot be decided", "Assertion cannot fail", "Assertion cannot pass"
	const idle, distant = "Comparison says nothing", "Limit beyond the timeout"
	for text, want := range map[string]string{
		"loss.ratio <= 5":           infallible,
		"loss.ratio <= 1":           infallible,
		"!(loss.ratio > 2.5 * 1)":   infallible,
		"loss.ratio < 200":          infallible,
		"loss.ratio < 1":            "",
		"loss.ratio <= 5 * percent": "",
		"loss.count <= 5":           "",
		"loss.ratio >= 5":           hopeless,
		"loss.ratio > 1":            hopeless,
		"loss.ratio < 0":            hopeless,
		"loss.ratio == 5":           hopeless,
		"loss.ratio >= 1":           undecided,

		// Whether the assertion can do so depends on the others.
		"loss.ratio <= 1 && delay.p99 <= 60 * ms":                    idle,
		"loss.ratio <= 1 || delay.p99 <= 60 * ms":                    infallible,
		"loss.ratio > 1 || delay.p99 <= 60 * ms":                     idle,
		"loss.ratio > 1 && delay.p99 <= 60 * ms":                     hopeless,
		"loss.ratio <= 1 && loss.ratio < 0":                          idle + ", " + hopeless,
		"loss.ratio < 0 && loss.ratio <= 1":                          hopeless + ", " + idle,
		"loss.count > 5 ? loss.ratio <= 1 : loss.ratio <= 1":         infallible + ", " + infallible,
		"1 > 2 ? loss.ratio <= 1 : loss.ratio <= 5 * percent":        "",
		"1 > 2 ? loss.ratio <= 0.01 * percent : loss.ratio <= 0.005": "",
		"loss.ratio * 100 <= 100":                                    infallible,
		"loss.ratio != 5":                                            infallible,
		"loss.count >= 0":                                            infallible,
		"min(loss.count, 3) > 5":                                     hopeless,
		"1 - loss.ratio >= 99.9":                                     hopeless,
		"delay.stddev < 0":                                           hopeless,
		"delay.min >= 0":                                             "", // the clocks may differ
		"delay.p99 <= 60":                                            distant,
		"delay.p99 <= 2":                                             "", // the timeout
		"delay.p99 > 60 || loss.ratio <= 1":                          distant + ", " + infallible,
		"delay.count >= 60":                                          "",

		"loss.ratio == 0":                                                           undecided,
		"loss.ratio == 1 * percent":                                                 undecided,
		"loss.ratio <= 0.01 * percent":                                              undecided,
		"loss.count == 0 && loss.ratio <= 0.01 * percent":                           undecided,
		"loss.count == 0 || loss.ratio <= 0.01 * percent":                           "",
		"loss.ratio <= 0.01 * percent || loss.count < 1":                            "",
		"loss.ratio <= 0.01 * percent || loss.count != 7":                           "",
		"!(loss.count > 0 && loss.ratio > 0.01 * percent)":                          "",
		"!(loss.count > 0 || loss.ratio > 0.01 * percent)":                          undecided,
		"loss.ratio <= 0.01 * percent || loss.ratio <= 1 * percent":                 "",
		"loss.ratio <= 0.01 * percent && (loss.count == 0 || delay.p99 <= 60 * ms)": undecided,
		"loss.ratio <= 0.01 * percent || delay.p99 - delay.p50 <= 1 * ms":           "",
		"loss.ratio <= 0.01 * percent && delay.p99 - delay.p50 <= 1 * ms":           undecided,
	} {
		s := threeSites()
		s.Tests = []lang.Test{test("t", voice, "core")}
		s.Tests[0].Asserts = []assert.Assertion{condition("x", text, "loss.ratio")}
		s.Tests[0].Profile.Params = maps.Clone(voice.Params)
		s.Tests[0].Profile.Params["timeout"] = 2.0
		var got []string
		for _, w := range build(t, input(s)).Warnings {
			if w.Summary == undecided || w.Summary == infallible || w.Summary == hopeless || w.Summary == idle || w.Summary == distant {
				got = append(got, w.Summary)
				if w.Range == nil || w.Range.Filename != "suite.hcl" || w.Range.Start.Line != 41 {
					t.Errorf("%s: the warning is at %+v", text, w.Range)
				}
			}
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}
