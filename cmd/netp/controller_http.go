package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/runner/api"
	"github.com/netpupper/netp/runner/enrol"
	"github.com/netpupper/netp/runner/fleet"
)

// startGrace is how long a request waits for a controller that starts.
const startGrace = 10 * time.Second

// handler is everything the controller answers over HTTP.
func (d *controllerDaemon) handler() http.Handler {
	mux := http.NewServeMux()
	enrol.API{
		Authority: d.authority, Present: d.present,
		Expel: func(id netp.AgentID) {
			d.server.Expel(string(id))
			d.runner.Fleet().Expel(id)
		},
	}.Register(mux)
	mux.Handle(api.Prefix, d.afterTakeOver(d.api.Handler()))
	if d.webhook != nil {
		mux.Handle("/api/webhook", d.afterTakeOver(d.webhook))
	}
	mux.Handle("GET /metrics", d.afterTakeOver(d.guardMetrics(d.metrics.Handler())))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "this is a netp controller: its API is below "+api.Prefix+" ("+api.Prefix+"openapi.json describes it), its figures are at /metrics", http.StatusNotFound)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if !d.ready.Load() || d.missesStore(r.Context()) {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ok\n")
	})
	return mux
}

func (d *controllerDaemon) missesStore(ctx context.Context) bool {
	_, err := d.store.Runs(ctx, "", 1)
	return err != nil
}

// afterTakeOver has requests wait a little for a controller that starts.
func (d *controllerDaemon) afterTakeOver(to http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-d.tookOver:
			to.ServeHTTP(w, r)
		case <-r.Context().Done():
		case <-time.After(startGrace):
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusServiceUnavailable)
			_ = json.NewEncoder(w).Encode(&api.Problem{Code: "unavailable", Detail: "The controller has started and waits for its store. Try again when that is over; the controller's log says more."}) // an error means that the asker is gone
		}
	})
}

func (d *controllerDaemon) present() []enrol.Presence {
	var out []enrol.Presence
	add := func(members []fleet.Member, away bool) {
		for _, m := range members {
			out = append(out, enrol.Presence{Agent: m.Agent, Away: away, Running: m.Running, Draining: m.Draining, Health: m.Health, Seen: m.Seen})
		}
	}
	// In this order: who comes in between is there.
	add(d.runner.Fleet().Away(), true)
	add(d.runner.Fleet().Members(), false)
	return out
}
