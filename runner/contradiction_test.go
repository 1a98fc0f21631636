package runner

import (
	"testing"

	"github.com/netpupper/netp"
)

// TestContradictions: counts that cannot be make the assertions about their direction inconclusive, and no others.
func TestContradictions(t *testing.T) {
	counts := func(prefix string, sent, received float64) netp.Result {
		return netp.Result{Metrics: map[string]netp.Measurement{prefix + "loss.sent": netp.Value(sent), prefix + "loss.received": netp.Value(received)}}
	}
	for name, c := range map[string]struct {
		params netp.Params
		r      netp.Result
		want   int
		spares string // a metric that no check touches
	}{
		"sound":                   {netp.Params{"count": 100.0}, counts("", 100, 90), 0, ""},
		"ended early":             {netp.Params{"count": 100.0}, counts("", 40, 40), 0, ""},
		"by time":                 {netp.Params{"duration": 1.0}, counts("", 1000, 1000), 0, ""},
		"no counts":               {netp.Params{"duration": 1.0}, netp.Result{}, 0, ""},
		"more sent than asked":    {netp.Params{"count": 100.0}, counts("", 120, 100), 1, ""},
		"more received than sent": {netp.Params{"duration": 1.0}, counts("", 100, 101), 1, ""},
		"one direction":           {netp.Params{"count": 100.0}, counts("reverse.", 120, 130), 2, "forward.loss.ratio"},
	} {
		got := Contradictions(c.params, c.r)
		if len(got) != c.want {
			t.Errorf("%s: %+v; want %d checks", name, got, c.want)
		}
		for _, check := range got {
			if check.OK || check.Reason == "" || c.spares != "" && check.Touches(c.spares) || !check.Touches("reverse.loss.ratio") {
				t.Errorf("%s: %+v", name, check)
			}
		}
	}
}
