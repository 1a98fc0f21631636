package rtt

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/netpupper/netp"
)

func TestSpecIsComplete(t *testing.T) {
	spec := new(Engine).Spec()
	if spec.Kind != "rtt" || spec.Summary == "" || !spec.Agents {
		t.Errorf("spec %+v", spec)
	}
	var names []string
	for _, p := range spec.Params {
		names = append(names, p.Name)
		if p.Doc == "" || p.Type == "" {
			t.Errorf("parameter %s has no text or type", p.Name)
		}
		if s, ok := p.Default.(string); ok && !slices.Contains(p.OneOf, s) {
			t.Errorf("the default of %s is none of %v", p.Name, p.OneOf)
		}
		if n, ok := p.Default.(float64); ok && p.Max > p.Min && (n < p.Min || n > p.Max) {
			t.Errorf("the default of %s, %v, is outside %v..%v", p.Name, n, p.Min, p.Max)
		}
	}
	if want := []string{"duration", "count", "interval", "spacing", "mode", "size", "dscp", "ip", "timeout", "omit"}; !slices.Equal(names, want) {
		t.Errorf("parameters %v, want %v", names, want)
	}
	common := []string{"rtt", "rtt_user", "loss.ratio", "loss.count", "loss.sent", "loss.received", "loss.longest"}
	split := []string{"duplicated.ratio", "loss.forward_ratio", "loss.backward_ratio"}
	for mode, want := range map[string][]string{
		"":        append(slices.Clone(common), split...),
		modeStamp: append(slices.Clone(common), split...),
		modeICMP:  append(slices.Clone(common), split[0]),
		modeTCP:   common,
	} {
		params := netp.Params{}
		if mode != "" {
			params["mode"] = mode
		}
		var got []string
		for _, m := range spec.Metrics(params) {
			got = append(got, m.Name)
			if m.Unit == "" || m.Doc == "" || !strings.HasPrefix(m.Source, "RFC ") || m.Better == "" || m.Basis != netp.PerPacket {
				t.Errorf("mode %q: incomplete metric %+v", mode, m)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("mode %q: metrics %v, want %v", mode, got, want)
		}
	}
}

func TestCheck(t *testing.T) {
	base := func(more netp.Params) netp.Params {
		p := netp.Params{"interval": 0.1, "timeout": 2.0, "mode": modeStamp}
		for k, v := range more {
			p[k] = v
		}
		return p
	}
	for _, test := range []struct {
		name   string
		params netp.Params
		want   []string // the parameters pointed at
	}{
		{"defaults", nil, nil},
		{"duration and count", netp.Params{"duration": 1.0, "count": 5.0}, []string{"count"}},
		{"IPv5", netp.Params{"ip": 5.0}, []string{"ip"}},
		{"small for STAMP", netp.Params{"size": 43.0}, []string{"size"}},
		{"small for ICMP", netp.Params{"size": 43.0, "mode": modeICMP}, nil},
		{"size of a handshake", netp.Params{"size": 100.0, "mode": modeTCP}, []string{"size"}},
		{"fast handshakes", netp.Params{"interval": 0.005, "mode": modeTCP}, []string{"interval"}},
		{"many handshakes", netp.Params{"interval": 0.01, "timeout": 11.0, "mode": modeTCP}, []string{"timeout"}},
		{"probes without end", netp.Params{"count": 1e9, "interval": 3600.0}, []string{"count"}},
		{"a week of probes", netp.Params{"count": 168.0, "interval": 3600.0}, nil},
		{"many probes", netp.Params{"interval": 0.001, "timeout": 31.0}, []string{"timeout"}},
		{"everything", netp.Params{"duration": 1.0, "count": 5.0, "ip": 7.0, "size": 5.0}, []string{"count", "ip", "size"}},
	} {
		var got []string
		for _, f := range check(base(test.params)) {
			got = append(got, f.Param)
			if !strings.HasSuffix(f.Detail, ".") {
				t.Errorf("%s: no sentence: %q", test.name, f.Detail)
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: faults at %v, want %v", test.name, got, test.want)
		}
	}
	if f := check(base(netp.Params{"count": 169.0, "interval": 3600.0})); len(f) != 1 || !strings.Contains(f[0].Detail, "lasts at most 168 h, which at this interval is enough for 168 probes") {
		t.Errorf("an hour too many: %+v", f)
	}
}

func TestDemand(t *testing.T) {
	for _, test := range []struct {
		name     string
		params   netp.Params
		duration time.Duration
		packets  uint64
		there    uint64 // bytes of one packet
		back     uint64
	}{
		{"defaults", netp.Params{}, 10 * time.Second, 100, 180, 180},
		{"count", netp.Params{"count": 7.0, "interval": 1.0}, 7 * time.Second, 7, 180, 180},
		{"warm-up", netp.Params{"duration": 2.0, "omit": 1.0}, 3 * time.Second, 30, 180, 180},
		{"IPv6", netp.Params{"ip": 6.0}, 10 * time.Second, 100, 200, 200},
		{"size", netp.Params{"size": 1000.0}, 10 * time.Second, 100, 1028, 1028},
		{"ping", netp.Params{"mode": modeICMP}, 10 * time.Second, 100, 84, 84},
		{"handshakes", netp.Params{"mode": modeTCP}, 10 * time.Second, 100, 152, 60},
	} {
		d := demand(test.params)
		if d.Duration != test.duration || d.Forward.Packets != test.packets || d.Reverse.Packets != test.packets ||
			d.Forward.Bytes != test.packets*test.there || d.Reverse.Bytes != test.packets*test.back {
			t.Errorf("%s: %+v; want %v, %d packets of %d and %d bytes", test.name, d, test.duration, test.packets, test.there, test.back)
		}
		if d.Patience != defaultTimeout {
			t.Errorf("%s: patience %v", test.name, d.Patience)
		}
		if d.Forward.Rate <= 0 || d.Forward.Exclusive {
			t.Errorf("%s: rate %v, exclusive %v", test.name, d.Forward.Rate, d.Forward.Exclusive)
		}
	}
	for want, params := range map[time.Duration]netp.Params{
		40 * time.Second:  {"timeout": 40.0, "spacing": spacingPoisson},
		302 * time.Second: {"count": 4.0, "interval": 10.0, "spacing": spacingPoisson},
	} {
		if got := demand(params).Patience; got != want {
			t.Errorf("%v: patience %v, want %v", params, got, want)
		}
	}
}
