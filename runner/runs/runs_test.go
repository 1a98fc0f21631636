package runs

import (
	"context"
	"testing"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/runner"
)

// brief executes work in no time.
type brief struct{ Executor }

func (brief) Execute(_ context.Context, _ runner.Work, events func(runner.Event)) (netp.Report, error) {
	events(runner.RunStarted{Run: "r"})
	return netp.Report{Run: "r"}, nil
}

// TestRunThatHasEndedHasBegun starts runs that may have ended before anybody looks whether they have begun.
func TestRunThatHasEndedHasBegun(t *testing.T) {
	r := New(Config{Executor: brief{}, SpoolDir: t.TempDir()})
	defer r.Close()
	for range 500 {
		if run, err := r.Start(runner.Work{Plan: new(plan.Plan)}, nil); run != "r" || err != nil {
			t.Fatalf("got run %q, %v", run, err)
		}
	}
}
