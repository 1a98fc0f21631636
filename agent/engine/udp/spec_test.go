package udp

import (
	"testing"
	"time"

	"github.com/netpupper/netp"
)

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		params netp.Params
		want   string // the parameter at fault, "" for none
	}{
		"defaults":             {netp.Params{}, ""},
		"voice":                {netp.Params{"rate": "50pps", "size": 200.0, "duration": 60.0}, ""},
		"flood":                {netp.Params{"rate": "0"}, ""},
		"burst":                {netp.Params{"spacing": "burst", "burst": 5.0}, ""},
		"count and duration":   {netp.Params{"count": 5.0, "duration": 1.0}, "count"},
		"size and mix":         {netp.Params{"size": 100.0, "mix": []any{[]any{64.0, 1.0}}}, "mix"},
		"small part of mix":    {netp.Params{"mix": []any{[]any{20.0, 1.0}}}, "mix"},
		"weight of nothing":    {netp.Params{"mix": []any{[]any{64.0, 0.0}}}, "mix"},
		"weights too large":    {netp.Params{"mix": []any{[]any{64.0, 700.0}, []any{128.0, 700.0}}}, "mix"},
		"burst evenly":         {netp.Params{"burst": 5.0}, "burst"},
		"flood with spacing":   {netp.Params{"rate": "0", "spacing": "poisson"}, "spacing"},
		"version 5":            {netp.Params{"ip": 5.0}, "ip"},
		"too fast":             {netp.Params{"rate": "100000000000bps", "size": 64.0}, "rate"},
		"nothing to send":      {netp.Params{"rate": "0.01pps", "duration": 10.0}, "rate"},
		"negative rate":        {netp.Params{"rate": "-5pps"}, "rate"},
		"streams without work": {netp.Params{"count": 3.0, "streams": 4.0}, "streams"},
		"count without end":    {netp.Params{"count": 1e10, "rate": "1pps"}, "count"},
	} {
		faults := check(withDefaults(c.params))
		switch {
		case c.want == "" && len(faults) > 0:
			t.Errorf("%s: %+v; want none", name, faults)
		case c.want != "" && (len(faults) != 1 || faults[0].Param != c.want):
			t.Errorf("%s: %+v; want one for %s", name, faults, c.want)
		}
	}
}

// TestCountIsBoundedByTime: who writes too many packets is told how many there may be, and so many there may be.
func TestCountIsBoundedByTime(t *testing.T) {
	const most = 20 * 7 * 24 * 60 * 60.0
	faults := check(withDefaults(netp.Params{"rate": "20pps", "count": most + 1}))
	if want := "A session lasts at most 168 h, which at this rate is enough for 12 096 000 packets. Write a lower count or a higher rate."; len(faults) != 1 || faults[0].Detail != want {
		t.Errorf("got %+v, want %q", faults, want)
	}
	if faults := check(withDefaults(netp.Params{"rate": "20pps", "count": most})); len(faults) > 0 {
		t.Errorf("got %+v for as many as there may be", faults)
	}
}

func TestDemand(t *testing.T) {
	d := demand(withDefaults(netp.Params{"rate": "50pps", "size": 172.0, "duration": 10.0, "omit": 2.0}))
	if d.Duration != 12*time.Second || d.Forward.Packets != 600 || d.Forward.Bytes != 600*200 || d.Forward.Rate != 80_000 || d.Forward.Exclusive {
		t.Errorf("forward %+v for %v", d.Forward, d.Duration)
	}
	if d.Reverse.Packets != 120 || d.Reverse.Bytes != 120*124 {
		t.Errorf("reverse %+v; want the reports", d.Reverse)
	}
	if d := demand(withDefaults(netp.Params{"rate": "50pps", "size": 172.0, "duration": 10.0, "ip": 6.0})); d.Forward.Bytes != 500*220 || d.Reverse.Bytes != d.Reverse.Packets*144 {
		t.Errorf("IPv6: forward %+v, reverse %+v", d.Forward, d.Reverse)
	}
	if d := demand(netp.Params{"rate": "0", "direction": "reverse"}); !d.Reverse.Exclusive || d.Forward.Exclusive {
		t.Errorf("flood: %+v", d)
	}
	for name, c := range map[string]struct {
		params   netp.Params
		patience time.Duration
	}{
		"timeout":        {netp.Params{"timeout": 40.0}, 40 * time.Second},
		"few, at random": {netp.Params{"count": 4.0, "rate": "0.1pps", "spacing": "poisson"}, 302 * time.Second},
		"a long flood":   {netp.Params{"count": 60_000.0, "rate": "0"}, 62 * time.Second},
		"at random":      {netp.Params{"duration": 5.0, "spacing": "poisson"}, 2 * time.Second},
	} {
		if got := demand(withDefaults(c.params)).Patience; got != c.patience {
			t.Errorf("%s: patience %v, want %v", name, got, c.patience)
		}
	}
	if d := demand(netp.Params{"direction": "both"}); d.Forward != d.Reverse || d.Forward.Packets <= 500 {
		t.Errorf("both: %+v", d)
	}
}

// TestMetrics: the catalogue is complete and without contradiction.
func TestMetrics(t *testing.T) {
	plain, playout := metrics(netp.Params{}), metrics(netp.Params{"playout": 0.1})
	if len(playout) != len(plain)+1 {
		t.Errorf("%d metrics with playout, %d without", len(playout), len(plain))
	}
	seen := map[string]bool{}
	for _, m := range playout {
		if seen[m.Name] || m.Unit == "" || m.Source == "" || m.Doc == "" || m.Basis == "" {
			t.Errorf("metric %+v", m)
		}
		seen[m.Name] = true
	}
	if n := len(metrics(netp.Params{"direction": "both"})); n != 2*len(plain) {
		t.Errorf("%d metrics of both directions; want %d", n, 2*len(plain))
	}
	for _, p := range New().Spec().Params {
		if p.Doc == "" {
			t.Errorf("parameter %s has no documentation", p.Name)
		}
	}
}

func TestSizes(t *testing.T) {
	s := newSettings(netp.Params{"mix": []any{[]any{36.0, 7.0}, []any{548.0, 4.0}, []any{1472.0, 1.0}}})
	count := map[int]int{}
	for _, n := range s.sizes {
		count[n]++
	}
	if count[36] != 7 || count[548] != 4 || count[1472] != 1 {
		t.Errorf("sizes %v", s.sizes)
	}
	for i := range len(s.sizes) - 2 {
		if s.sizes[i] == s.sizes[i+1] && s.sizes[i+1] == s.sizes[i+2] && s.sizes[i] != 36 {
			t.Errorf("sizes are not interleaved: %v", s.sizes)
		}
	}
}

func TestPaceRate(t *testing.T) {
	for _, c := range []struct {
		rate    string
		streams float64
		units   uint64
		per     time.Duration
		bits    bool
	}{
		{"50pps", 1, 50, time.Second, false}, {"0.5pps", 1, 5, 10 * time.Second, false},
		{"1000000bps", 4, 1_000_000, 4 * time.Second, true}, {"0.125pps", 2, 125, 2000 * time.Second, false},
	} {
		got, bits := newSettings(netp.Params{"rate": c.rate, "streams": c.streams}).paceRate()
		if got.Units != c.units || got.Per != c.per || bits != c.bits {
			t.Errorf("%s over %v streams: %+v, %v", c.rate, c.streams, got, bits)
		}
	}
}
