package main

import (
	"hash/fnv"
	"maps"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plugins/sdk"
)

// The measurements. Figures are in SI units; their field names are those of a
// condition: loss.ratio, delay.p99.
const (
	sessions   = "netp_session"
	assertions = "netp_assertion"
	intervals  = "netp_interval"
)

// options say what becomes a point.
type options struct {
	tags      map[string]string // added to every point
	intervals bool
}

// points makes the points of a record. They depend on the record only, so writing them
// again overwrites them with themselves.
func points(r netp.Record, o options) []point {
	tags := recordTags(r, o.tags)
	out := []point{sessionPoint(r, tags)}
	for _, j := range r.Judgements {
		out = append(out, assertionPoint(r, j, tags))
	}
	if !o.intervals {
		return out
	}
	for _, i := range r.Result.Intervals {
		p := point{measurement: intervals, tags: tags, time: r.Result.Started.Add(i.Start), fields: map[string]any{"length": i.Length.Seconds()}}
		for name, v := range i.Values {
			p.fields[name] = v
		}
		out = append(out, p)
	}
	return out
}

// recordTags are the tags all points of a record share. What differs from session to
// session (record, run, revision) is a field: as a tag it would make a new series each.
func recordTags(r netp.Record, extra map[string]string) map[string]string {
	own := map[string]string{
		"suite": r.Suite, "test": r.Test, "kind": string(r.Session.Kind), "path": r.Session.Path.Key(),
		"source": string(r.Session.Path.Source), "dest": r.Session.Path.Dest, "via": r.Session.Path.Via,
	}
	out := map[string]string{}
	for _, tags := range []map[string]string{extra, r.Tags} {
		for name, value := range tags {
			if _, taken := own[name]; taken || reserved[name] {
				name = "tag_" + name
			}
			out[name] = value
		}
	}
	maps.Copy(out, own)
	return out
}

// reserved names have a meaning of their own in InfluxDB or in our points.
var reserved = map[string]bool{
	"time": true, "_time": true, "_measurement": true, "_field": true, "_value": true, "_start": true, "_stop": true,
	"status": true, "assertion": true, "severity": true,
}

func with(tags map[string]string, more map[string]string) map[string]string {
	out := maps.Clone(tags)
	maps.Copy(out, more)
	return out
}

// moment is the time of a record's session and assertion points: when it ended; for
// one that never ran, when it was to start, to the millisecond: of several of one pair
// that were to start together each has its own nanosecond in it, or one point would
// overwrite the other.
func moment(r netp.Record) time.Time {
	if !r.Result.Ended.IsZero() {
		return r.Result.Ended
	}
	at := r.Scheduled
	if at.IsZero() {
		at = r.Written
	}
	h := fnv.New64a()
	h.Write([]byte(r.ID))
	return at.Truncate(time.Millisecond).Add(time.Duration(h.Sum64() % uint64(time.Millisecond)))
}

func sessionPoint(r netp.Record, tags map[string]string) point {
	fields := map[string]any{
		"record": r.ID, "run": r.Run, "revision": r.Revision,
		"attempts": int64(r.Attempts), "measured": r.Result.Measured.Seconds(),
	}
	if f := r.Result.Failure; f != nil {
		fields["failure"], fields["failure_detail"] = string(f.Kind), f.Detail
	}
	for name, v := range sdk.Figures(r.Result) {
		fields[name] = v
	}
	return point{sessions, with(tags, map[string]string{"status": string(r.Status)}), fields, moment(r)}
}

func assertionPoint(r netp.Record, j netp.Judgement, tags map[string]string) point {
	fields := map[string]any{"record": r.ID, "run": r.Run, "condition": j.Condition, "reason": j.Reason, "message": j.Message}
	for _, e := range j.Estimates {
		fields[e.Metric+".point"], fields[e.Metric+".samples"] = e.Point, float64(e.Samples)
		if !e.OpenLow {
			fields[e.Metric+".low"] = e.Low
		}
		if !e.OpenHigh {
			fields[e.Metric+".high"] = e.High
		}
	}
	for _, l := range j.Limits {
		fields[l.Metric+".limit"] = l.Value
	}
	more := map[string]string{"assertion": j.Assertion, "severity": string(j.Severity), "status": string(j.Status)}
	return point{assertions, with(tags, more), fields, moment(r)}
}
