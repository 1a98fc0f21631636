package main

import (
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent"
	"github.com/netpupper/netp/agent/wire"
	"github.com/netpupper/netp/plan"
)

// TestLongestSessions: agents take the order for whatever the language lets people ask.
func TestLongestSessions(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for _, k := range agent.Catalogue() {
		longest, random := netp.Params{}, netp.Params{"spacing": "poisson", "count": 168.0, "interval": 3600.0}
		for _, p := range k.Params {
			if p.Name == "duration" || p.Name == "omit" || p.Name == "timeout" {
				longest[p.Name], random[p.Name] = p.Max, p.Max
			}
		}
		delete(random, "duration")
		if k.Kind == "udp" {
			random = netp.Params{"spacing": "poisson", "count": 604.0, "rate": "0.001pps", "omit": random["omit"], "timeout": random["timeout"]}
		}
		for _, params := range []netp.Params{longest, random} {
			d := k.Demand(params)
			o := wire.Order{Version: wire.MaxVersion, NotBefore: now, NotAfter: now.Add(d.Duration + d.Patience + plan.Timeout)}
			if err := (wire.Bounds{Now: now}).Check(o); err != nil {
				t.Errorf("%s with %v: %v", k.Kind, params, err)
			}
		}
	}
}
