package main

import (
	"io"
	"net/http"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/runner/api"
	"github.com/netpupper/netp/runner/enrol"
	"github.com/netpupper/netp/runner/fleet"
)

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
	mux.Handle(api.Prefix, d.api.Handler())
	if d.webhook != nil {
		mux.Handle("/api/webhook", d.webhook)
	}
	mux.Handle("GET /metrics", d.guardMetrics(d.metrics.Handler()))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "this is a netp controller: its API is below "+api.Prefix+" ("+api.Prefix+"openapi.json describes it), its figures are at /metrics", http.StatusNotFound)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if _, err := d.store.Runs(r.Context(), "", 1); err != nil || !d.ready.Load() {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ok\n")
	})
	return mux
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
