package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/runner/api"
	"github.com/netpupper/netp/runner/api/client"
	"github.com/netpupper/netp/runner/apply"
)

// TestInterruptedApply interrupts a command whose run it began, or somebody else did: what ends is the command's own.
func TestInterruptedApply(t *testing.T) {
	for name, test := range map[string]struct {
		started   apply.Started
		cancelled bool
	}{
		"its own":             {apply.Started{Run: "r"}, true},
		"its own, once again": {apply.Started{Run: "r", Attached: true, Lock: &apply.Lock{Holder: "ann@laptop"}}, true},
		"another's":           {apply.Started{Run: "r", Attached: true, Lock: &apply.Lock{Holder: "bob@desk"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			cancelled := make(chan struct{})
			mux := http.NewServeMux()
			mux.HandleFunc("POST "+api.Prefix+"runs", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(test.started) })
			mux.HandleFunc("POST "+api.Prefix+"runs/r/cancel", func(w http.ResponseWriter, _ *http.Request) {
				close(cancelled)
				fmt.Fprint(w, "{}")
			})
			mux.HandleFunc("GET "+api.Prefix+"runs/r/events", func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				fmt.Fprint(w, "id: 1\nevent: run_started\ndata: {\"run\":\"r\",\"sessions\":1}\n\n")
				w.(http.Flusher).Flush()
				select {
				case <-cancelled:
					fmt.Fprint(w, "id: 2\nevent: run_done\ndata: {\"run\":\"r\"}\n\n")
				case <-r.Context().Done():
				}
			})
			mux.HandleFunc("GET "+api.Prefix+"runs/r", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") })
			mux.HandleFunc("GET "+api.Prefix+"runs/r/records", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"records":[]}`) })
			server := httptest.NewServer(mux)
			defer server.Close()
			c, err := client.New(client.Options{URL: server.URL, Token: "secret", Holder: "ann@laptop", HTTP: server.Client()})
			if err != nil {
				t.Fatal(err)
			}
			r := &remoteSite{Client: c, holder: "ann@laptop", note: func(string) {}, suite: func() *lang.Suite { return nil }}
			ctx, interrupt := context.WithCancel(t.Context())
			_, err = r.Apply(ctx, &plan.Plan{}, func(runner.Event) { interrupt() })
			select {
			case <-cancelled:
				if !test.cancelled || err != nil {
					t.Errorf("the run is cancelled, %v", err)
				}
			default:
				if test.cancelled || !errors.Is(err, errLeft) || !strings.Contains(err.Error(), "begun by bob@desk") || !strings.Contains(err.Error(), "/runs/r/cancel") {
					t.Errorf("the run goes on, %v", err)
				}
			}
		})
	}
}
