package plan

import (
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang"
)

func TestSummary(t *testing.T) {
	for _, c := range []struct {
		kind   netp.Kind
		params netp.Params
		want   string
	}{
		{"udp", voice.Params, "udp 50 pps × 200 B, dscp ef, 60 s"},
		{"udp", netp.Params{"rate": "10000000bps", "size": 1200.0, "duration": 5.0, "direction": "both", "dscp": 34.0}, "udp 10 Mbit/s × 1 200 B, direction both, dscp af41, 5 s"},
		{"udp", netp.Params{"rate": "1234567bps", "size": 1235.0, "duration": 61.2345, "omit": 0.1}, "udp 1.234567 Mbit/s × 1 235 B, omit 100 ms, 61.2345 s"},
		{"tcp", bulk.Params, "tcp 4 streams, 10 s"},
		{"tcp", netp.Params{"duration": 10.0, "streams": 1.0, "rate": 20e6}, "tcp 20 Mbit/s, 10 s"},
		{"tcp", netp.Params{"duration": 0.5, "direction": "reverse"}, "tcp direction reverse, 500 ms"},
		{"http", web.Params, "http interval 1 s, 20 s"},
	} {
		spec, _ := catalogue.Find(c.kind)
		if got := summary(spec, c.params); got != c.want {
			t.Errorf("%v: got %q, want %q", c.params, got, c.want)
		}
	}
}

func TestRepetition(t *testing.T) {
	exclusive := netp.Demand{Forward: netp.Load{Exclusive: true}}
	for _, c := range []struct {
		test   lang.Test
		demand netp.Demand
		want   string
	}{
		{lang.Test{}, netp.Demand{}, "once"},
		{lang.Test{}, exclusive, "once, exclusive"},
		{lang.Test{Every: 5 * time.Minute}, netp.Demand{}, "every 5m"},
		{lang.Test{Every: 90 * time.Minute}, netp.Demand{}, "every 1h30m"},
		{lang.Test{Every: 24 * time.Hour}, netp.Demand{}, "every 24h"},
		{lang.Test{Every: 10 * time.Second}, netp.Demand{}, "every 10s"},
		{lang.Test{Cron: "0 2 * * *", TimeZone: "Australia/Sydney"}, exclusive, `cron "0 2 * * *" Australia/Sydney, exclusive`},
	} {
		d := draft{Test: &c.test, demand: c.demand}
		if got := d.repetition(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestWords(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{dscp(0), "cs0"}, {dscp(8), "cs1"}, {dscp(10), "af11"}, {dscp(34), "af41"}, {dscp(38), "af43"}, {dscp(46), "ef"}, {dscp(44), "voice-admit"}, {dscp(1), "le"}, {dscp(63), "63"}, {dscp(12), "af12"}, {dscp(2), "2"},
		{number(3000), "3 000"}, {number(0.5), "0.5"}, {count(1e17), "1e+17"},
		{list(nil), "none"}, {list([]string{"a", "b"}), "a, b"}, {list([]string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"}), "1, 2, 3, 4, 5, 6, 7, 8 and 2 more"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}
