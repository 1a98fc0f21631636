package main

import (
	"context"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/runner/apply"
	"github.com/netpupper/netp/runner/enrol"
	"github.com/netpupper/netp/runner/fleet"
	"github.com/netpupper/netp/runner/gitops"
	"github.com/netpupper/netp/runner/metrics"
	"github.com/netpupper/netp/runner/standing"
)

// newMetrics asks the parts of the controller, most of which are made later.
func (d *controllerDaemon) newMetrics(catalogue netp.Catalogue) *metrics.Metrics {
	return metrics.New(metrics.Config{
		Catalogue: catalogue, Version: version,
		Members:   func() []fleet.Member { return d.runner.Fleet().Members() },
		Belonging: d.belonging,
		Sources:   func() []gitops.Status { return d.reconciler.Status() },
		Standing:  func() []standing.Status { return d.scheduler.Status() },
		Sinks:     func() []apply.SinkState { return d.sinks.States() },
		Sizes:     d.sizes,
	})
}

func (d *controllerDaemon) belonging() []netp.AgentID {
	var out []netp.AgentID
	for _, m := range d.authority.Members() {
		out = append(out, m.Name)
	}
	return out
}

// sizes are what the controller's own files take. A PostgreSQL database tells its
// size itself.
func (d *controllerDaemon) sizes() map[string]int64 {
	out := map[string]int64{"bus": sizeBelow(filepath.Join(d.settings.Data, "bus"))}
	if d.settings.Store == "" {
		for _, name := range []string{"netp.db", "netp.db-wal"} {
			if info, err := os.Stat(filepath.Join(d.settings.Data, name)); err == nil {
				out["store"] += info.Size()
			}
		}
	}
	return out
}

func sizeBelow(dir string) int64 {
	var sum int64
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // it went away meanwhile
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			sum += info.Size()
		}
		return nil
	})
	return sum
}

// guardMetrics lets in whoever shows a token of the controller, or everybody when
// the operator said so.
func (d *controllerDaemon) guardMetrics(to http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !d.openMetrics && !d.known(r) {
			enrol.Challenge(w.Header())
			http.Error(w, "a token of this controller is needed: netp tokens create -role viewer -name prometheus", http.StatusUnauthorized)
			return
		}
		select {
		case <-d.remembered:
			to.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	})
}

// remembered bounds the runs whose records are read when the controller starts.
const remembered = 200

// remember tells the metrics the last results that the store has, so that a restart
// leaves no gap: who asks for metrics meanwhile waits.
func (d *controllerDaemon) remember(ctx context.Context) {
	defer close(d.remembered)
	if err := d.recall(ctx); err != nil && ctx.Err() == nil {
		d.logger.Warn("the metrics lack what ran before this start, until it runs again", "error", err)
	}
}

func (d *controllerDaemon) recall(ctx context.Context) error {
	runs, err := d.store.Runs(ctx, "", remembered)
	if err != nil {
		return err
	}
	sessions := 0
	for i, r := range runs {
		if sessions += r.Sessions; sessions > metrics.MaxSessions {
			runs = runs[:i]
			break
		}
	}
	for _, r := range slices.Backward(runs) {
		records, err := d.store.Records(ctx, r.Report.Run)
		if err != nil {
			return err
		}
		for _, one := range records {
			d.metrics.Remember(one)
		}
	}
	for _, r := range runs {
		state, err := d.store.State(ctx, r.Report.Suite)
		if err != nil {
			return err
		}
		d.metrics.Keep(r.Report.Suite, state)
	}
	return nil
}
