package sdk

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netpupper/netp"
)

// TestFiguresAreOfWhatWasMeasured: without trials, samples or a number there is no figure, and never a zero in its place.
func TestFiguresAreOfWhatWasMeasured(t *testing.T) {
	value := 3.5
	r := netp.Result{Metrics: map[string]netp.Measurement{
		"loss.ratio":         {Ratio: &netp.Ratio{Events: 1, Trials: 4}, Uncertainty: 0.1},
		"duplication.ratio":  {Ratio: &netp.Ratio{}},
		"throughput":         {Value: &value},
		"delay":              {Distribution: &netp.Distribution{All: &netp.Histogram{}}},
		"nothing.was.chosen": {},
	}}
	want := map[string]float64{
		"loss.ratio": 0.25, "loss.ratio.events": 1, "loss.ratio.trials": 4, "loss.ratio.uncertainty": 0.1,
		"duplication.ratio.events": 0, "duplication.ratio.trials": 0,
		"throughput": 3.5, "delay.count": 0,
	}
	if diff := cmp.Diff(want, Figures(r)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
