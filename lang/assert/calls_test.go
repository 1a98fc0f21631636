package assert_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netpupper/netp"
)

// What only a call refers to is no metric: the call's value was kept, and there is
// nothing to measure under the name of a variable.
func TestCallsOfConstantsAreNoMetrics(t *testing.T) {
	for _, c := range []struct {
		condition string
		want      netp.Status
		limits    int
	}{
		{"loss.ratio <= max(var.max_loss, 0.2)", netp.Pass, 1},
		{"loss.ratio <= min(var.max_loss, 0.2) * 0.001", netp.Fail, 1},
		{`delay.p99 < local.limits["p99"] * length([1])`, netp.Pass, 1},
		{`delay.p99 < local.limits["p99"] && loss.ratio <= max(var.max_loss, 0.2)`, netp.Pass, 2},
		{`loss.ratio <= max(var.max_loss, 0.2) && var.strict`, netp.Pass, 1},
	} {
		a := compile(t, source(c.condition))
		j := a.Judge(given(between("loss.ratio", "1", 0.0023, 0.0043, 0.0074), between("delay.p99", "s", 0.01, 0.02, 0.03)))
		if j.Status != c.want {
			t.Errorf("%s: got %s (%s), want %s", c.condition, j.Status, j.Reason, c.want)
		}
		var metrics []string
		for _, e := range j.Estimates {
			metrics = append(metrics, e.Metric)
		}
		if diff := cmp.Diff(a.Metrics, metrics, cmp.Transformer("set", func(in []string) map[string]bool {
			out := map[string]bool{}
			for _, m := range in {
				out[m] = true
			}
			return out
		})); diff != "" {
			t.Errorf("%s: metrics (-compiled +judged):\n%s", c.condition, diff)
		}
		if got := a.Comparisons(); len(got) != c.limits {
			t.Errorf("%s: %d comparisons, want %d", c.condition, len(got), c.limits)
		}
	}
}
