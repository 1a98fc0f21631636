package assert_test

import (
	"strings"
	"testing"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang/assert"
)

func TestProblems(t *testing.T) {
	for _, c := range []struct {
		condition string
		summary   string
		at        string // the text pointed at
		detail    string // a part of the detail
	}{
		{"thruput.mean >= 900 * Mbps", "Unknown metric", "thruput", `A test of kind udp has no metric "thruput". Did you mean "throughput"? It has: loss.ratio, loss.count, delay, throughput, jitter.`},
		{"loss.rato <= 1", "Unknown metric", "loss.rato", `Did you mean "loss.ratio"?`},
		{"delay.p98 <= 1", "Unknown metric", "delay.p98", `"delay" has no figure "p98". Did you mean "p90"?`},
		{"delay.p99.9 <= 1", "Unknown metric", "delay.p99.9", `"delay" has no figure "p99.9". Did you mean "p999"?`},
		{"delay <= 60 * ms", "Metric needs a member", "delay", "delay.min, delay.p50, delay.p90, delay.p95, delay.p99"},
		{"loss <= 1", "Metric needs a member", "loss", "loss.ratio, loss.count"},
		{"loss.ratio <= vra.max_loss", "Unknown metric", "vra", ""},
		{"throughput.mean >= 900 * mbps", "Unknown metric", "mbps", `"mbps" is neither a metric of the test nor a unit. Did you mean "Mbps"? The units are B, GB, `},
		{"delay.p99 <= 60 * msec", "Unknown metric", "msec", `Did you mean "ms"?`},
		{"delay.p99 <= 60 * seconds", "Unknown metric", "seconds", "us. It has: loss.ratio"},
		{"delai >= 1", "Unknown metric", "delai", `A test of kind udp has no metric "delai". Did you mean "delay"?`},
		{"loss.ratio <= var.max_los", "Unknown reference", ".max_los", ""},
		{"loss.ratio <= each.value", "Unknown reference", "each.value", ""},
		{"loss.ratio <= maxx(1, 2)", "Unknown function", "maxx", `Did you mean "max"?`},
		{"maxx(loss.ratio) <= 1", "Unknown function", "maxx", `Did you mean "max"?`},
		{"not (loss.ratio > 1)", "Unknown function", "not", `Write ! for it`},
		{"length(loss.ratio) <= 1", "Invalid expression", "length", "known only after the session"},
		{"loss.ratio", "Condition is not true or false", "loss.ratio", "Compare"},
		{"loss.ratio + 1", "Condition is not true or false", "loss.ratio + 1", ""},
		{"\"a\"", "Condition is not true or false", "\"a\"", ""},
		{"true", "Condition uses no metric", "true", "It has: loss.ratio"},
		{"var.max_loss <= 1", "Condition uses no metric", "var.max_loss <= 1", ""},
		{"loss.ratio <= var.secret", "Sensitive value in an assertion", "var.secret", ""},
		{"loss.ratio <= max(var.secret, 1)", "Sensitive value in an assertion", "max(var.secret, 1)", ""},
		{"loss.ratio <= var.later", "Invalid expression", "var.later", "not known"},
		{"loss.ratio <= var.name", "Invalid expression", "var.name", "not a number"},
		{"loss.ratio == var.name", "Invalid expression", "var.name", "not a number"},
		{"null != loss.ratio", "Invalid expression", "null", "not a number"},
		{"loss.ratio == true", "Invalid expression", "true", "not a number"},
		{"(loss.ratio < 1) == \"x\"", "Invalid expression", "\"x\"", "neither true nor false"},
		{"loss.ratio && true", "Invalid expression", "loss.ratio", "neither true nor false"},
		{"loss.ratio <= 1 && \"x\"", "Invalid expression", "\"x\"", "neither true nor false"},
		{"loss.ratio / 0 <= 1", "Invalid expression", "0", "divides by zero"},
		{"loss.ratio <=", "Invalid expression", "", ""},
		{"loss.ratio <= (1", "Invalid expression", "", ""},
		{"[for x in [1] : x + loss.ratio] == [1]", "Invalid expression", "[for x in [1] : x + loss.ratio]", "cannot be used"},
		{"min(loss.ratio, [1]...) <= 1", "Invalid expression", "min(loss.ratio, [1]...)", ""},
		{"abs(loss.ratio, 2) <= 1", "Invalid expression", "abs(loss.ratio, 2)", "one argument"},
		{"", "Invalid expression", "", ""},
		{strings.Repeat("(", 150) + "loss.ratio < 1" + strings.Repeat(")", 150), "Invalid expression", "", "nested deeper"},
		{strings.Repeat("!", 150) + "(loss.ratio < 1)", "Invalid expression", "", "nested deeper"},
		{"loss.ratio < 1" + strings.Repeat(" ", 20000), "Invalid expression", "", "bytes"},
		{strings.Repeat("[", 10000), "Invalid expression", "", "nested deeper"},
	} {
		_, problems := assert.Compile(source(c.condition))
		if len(problems) != 1 {
			t.Errorf("%.60s: %d problems, want 1: %+v", c.condition, len(problems), problems)
			continue
		}
		p := problems[0]
		if p.Summary != c.summary || !strings.Contains(p.Detail, c.detail) || p.Message {
			t.Errorf("%.60s:\n got %s: %s\nwant %s: … %s", c.condition, p.Summary, p.Detail, c.summary, c.detail)
		}
		if p.Start < 0 || p.End < p.Start || p.End > len(c.condition) {
			t.Errorf("%.60s: range %d to %d", c.condition, p.Start, p.End)
		} else if at := c.condition[p.Start:p.End]; c.at != "" && at != c.at {
			t.Errorf("%.60s: points at %q, want %q", c.condition, at, c.at)
		}
	}
}

// TestMessagesThatAreNoText: what no text can be made of is told when the suite is loaded; null as a whole is no message.
func TestMessagesThatAreNoText(t *testing.T) {
	for message, want := range map[string]string{
		`"${null}"`:                 "null is null, which cannot stand in a text",
		`"${null} ${loss.ratio}"`:   "null is null, which cannot stand in a text",
		`"${[1]} of ${loss.ratio}"`: "[1] is neither text nor number",
		`"${{a = 1}}"`:              "{a = 1} is neither text nor number",
		`[1]`:                       "[1] is neither text nor number",
		`null`:                      "",
		`var.name`:                  "",
	} {
		in := source("loss.ratio <= 0.1 * percent")
		in.Message = message
		a, problems := assert.Compile(in)
		switch {
		case want == "" && len(problems) > 0, want != "" && (len(problems) != 1 || !problems[0].Message || !strings.HasPrefix(problems[0].Detail, want)):
			t.Errorf("%s: %+v, want %q", message, problems, want)
		case want == "" && (message == "null") != (a.Message == ""):
			t.Errorf("%s: the message is %q", message, a.Message)
		}
	}
}

func TestAllProblemsAreFoundAtOnce(t *testing.T) {
	in := source("los.ratio <= 1 && delay <= var.name && nope(1) && jitter && delay.p50 <= var.secret")
	in.Message = `"${delay.p51} ${var.gone}"`
	_, problems := assert.Compile(in)
	var got []string
	for _, p := range problems {
		where := "condition: "
		if p.Message {
			where = "message: "
		}
		got = append(got, where+p.Summary)
	}
	want := []string{
		"condition: Unknown metric", "condition: Metric needs a member", "condition: Invalid expression", "condition: Unknown function",
		"condition: Invalid expression", "condition: Sensitive value in an assertion",
		"message: Unknown metric", "message: Unknown reference",
	}
	if len(got) != len(want) {
		t.Fatalf("got %q\nwant %q", got, want)
	}
	for _, w := range want {
		if !strings.Contains(strings.Join(got, "\n"), w) {
			t.Errorf("%q is missing in %q", w, got)
		}
	}
}

func TestDirectionMustBeNamed(t *testing.T) {
	in := source("loss.ratio <= 1 * percent && delay.p99 <= 1")
	in.Metrics = netp.Directed(netp.Both, metrics())
	_, problems := assert.Compile(in)
	if len(problems) != 2 || problems[0].Summary != "Ambiguous direction" ||
		!strings.Contains(problems[0].Detail, "Write forward.loss.ratio or reverse.loss.ratio.") {
		t.Errorf("%+v", problems)
	}
	in.Condition = "forward.loss.ratio <= 1 * percent && reverse.delay.p99 <= 1"
	if _, problems := assert.Compile(in); len(problems) > 0 {
		t.Errorf("%+v", problems)
	}
}
