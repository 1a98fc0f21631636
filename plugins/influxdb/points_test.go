package main

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plugins/sdk/sinktest"
)

func TestLine(t *testing.T) {
	at := time.Unix(0, 5)
	for _, test := range []struct {
		name   string
		tags   map[string]string
		fields map[string]any
		want   string
	}{
		{"kinds of fields", nil, map[string]any{"a": 1.5, "b": int64(2), "c": "x"}, `m a=1.5,b=2i,c="x" 5`},
		{"sorted tags", map[string]string{"b": "2", "a": "1"}, map[string]any{"f": 1.0}, `m,a=1,b=2 f=1 5`},
		{"empty tags and texts go", map[string]string{"a": ""}, map[string]any{"f": 1.0, "g": ""}, `m f=1 5`},
		{"no number, no field", nil, map[string]any{"a": math.NaN(), "b": math.Inf(1), "f": 1e-9}, `m f=1e-09 5`},
		{"nothing left", nil, map[string]any{"a": math.NaN()}, ``},
		{"escapes", map[string]string{"k e=y,": `v a=l,u\e`}, map[string]any{"f i,e=ld": `q"uo\te`}, `m,k\ e\=y\,=v\ a\=l\,u/e f\ i\,e\=ld="q\"uo\\te" 5`},
		{"line ends", map[string]string{"a": "x\ny\r\nz"}, map[string]any{"f": "x\ny"}, "m,a=x\\ y\\ z f=\"x\ny\" 5"},
		{"no UTF-8", map[string]string{"a": "x\xff"}, map[string]any{"f": "\xff"}, `m,a=x� f="�" 5`},
	} {
		if got := (point{"m", test.tags, test.fields, at}).line(); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.name, got, test.want)
		}
	}
	if got := (point{"m", nil, map[string]any{"f": strings.Repeat("é", maxString)}, at}).line(); len(got) > maxString+20 {
		t.Errorf("a long text makes a line of %d bytes", len(got))
	}
}

func TestPoints(t *testing.T) {
	r := sinktest.Records(2)[1]
	r.Tags = map[string]string{"class": "realtime", "time": "noon", "path": "mine", "status": "new"}
	all := points(r, options{tags: map[string]string{"dc": "syd", "class": "overridden"}, intervals: true})
	if len(all) != 1+len(r.Judgements)+len(r.Result.Intervals) {
		t.Fatalf("%d points", len(all))
	}
	tags := map[string]string{
		"suite": "backbone", "test": "test.voice", "kind": "udp", "path": "syd->mel", "source": "syd", "dest": "mel", "via": "telco-a",
		"dc": "syd", "class": "realtime", "tag_time": "noon", "tag_path": "mine", "tag_status": "new",
	}
	session := all[0]
	if diff := cmp.Diff(with(tags, map[string]string{"status": "fail"}), session.tags); diff != "" {
		t.Errorf("tags of the session (-want +got):\n%s", diff)
	}
	d := r.Result.Metrics["delay"].Distribution
	for name, want := range map[string]any{
		"loss.ratio": 1.0 / 3000, "loss.ratio.events": 1.0, "loss.ratio.trials": 3000.0, "loss.sent": 3000.0, "jitter": 0.00015,
		"delay.p99": d.Member("p99"), "delay.mean": d.Member("mean"), "delay.count": 200.0, "delay.uncertainty": 0.0004,
		"record": r.ID, "run": r.Run, "attempts": int64(1), "measured": 60.0, "rtt.count": 0.0,
	} {
		if got := session.fields[name]; got != want {
			t.Errorf("field %s is %v, want %v", name, got, want)
		}
	}
	if !session.time.Equal(r.Result.Ended) {
		t.Errorf("time %v, want the end %v", session.time, r.Result.Ended)
	}
	if diff := cmp.Diff(with(tags, map[string]string{"status": "pass", "assertion": "loss", "severity": "error"}), all[1].tags); diff != "" {
		t.Errorf("tags of the assertion (-want +got):\n%s", diff)
	}
	for name, want := range map[string]any{"loss.ratio.point": 0.001, "loss.ratio.low": 0.0, "loss.ratio.high": 0.002, "loss.ratio.limit": 0.001, "loss.ratio.samples": 3000.0} {
		if got := all[1].fields[name]; got != want {
			t.Errorf("field %s of the assertion is %v, want %v", name, got, want)
		}
	}
	interval := all[1+len(r.Judgements)+2]
	if !interval.time.Equal(r.Result.Started.Add(20*time.Second)) || interval.fields["delay.mean"] != r.Result.Intervals[2].Values["delay.mean"] || interval.fields["length"] != 10.0 {
		t.Errorf("third interval %+v", interval)
	}
	if got := len(points(r, options{})); got != 1+len(r.Judgements) {
		t.Errorf("%d points without intervals", got)
	}
}

func TestMissedSession(t *testing.T) {
	r := sinktest.Records(5)[4]
	r.Result.Failure.Kind = netp.FailureMissed
	p := points(r, options{intervals: true})
	if len(p) != 1 || !p[0].time.Truncate(time.Millisecond).Equal(r.Scheduled) || p[0].fields["failure"] != "missed" || p[0].tags["status"] != "error" {
		t.Errorf("points %+v", p)
	}
	other := r // of the same pair by another path block
	other.ID = `0199c3a1/test.voice["mesh:syd->mel"]`
	if q := points(other, options{}); q[0].time.Equal(p[0].time) || !cmp.Equal(q[0].tags, p[0].tags) {
		t.Errorf("%v and %v are one point for InfluxDB", p[0], q[0])
	}
	if again := points(r, options{}); !again[0].time.Equal(p[0].time) {
		t.Errorf("the same record has points at %v and %v", p[0].time, again[0].time)
	}
}
