package sinktest

import (
	"fmt"
	"time"

	"github.com/netpupper/netp"
)

// Records makes n different records, the same at each call: passed, failed,
// inconclusive and failed ones, with every shape of metric and awkward texts.
func Records(n int) []netp.Record {
	out := make([]netp.Record, n)
	for i := range out {
		out[i] = record(i)
	}
	return out
}

func record(i int) netp.Record {
	start := time.Date(2026, 11, 20, 2, 0, 0, 0, time.UTC).Add(time.Duration(i) * 5 * time.Minute)
	path := netp.Path{Addr: `path.core["syd->mel"]`, Source: "syd", Dest: "mel", Via: "telco-a"}
	r := netp.Record{
		FormatVersion: netp.FormatVersion, ID: fmt.Sprintf(`0199c3a1/test.voice["syd->mel"]/%d`, i),
		Run: "0199c3a1", Suite: "backbone", Revision: "main@sha1:0123", Test: "test.voice",
		Session:  netp.Session{Addr: fmt.Sprintf(`test.voice["syd->mel"]/%d`, i), Kind: "udp", Path: path, Params: netp.Params{"duration": 60.0}},
		Tags:     map[string]string{"class": "realtime", "carrier": `Telco, A=1 "x"\`, "note": "zwei\nZeilen ✓", "empty": ""},
		Attempts: 1, Status: netp.Pass, Scheduled: start, Written: start.Add(62 * time.Second), Version: "0.1.0",
	}
	if i%5 == 4 {
		return failed(r)
	}
	r.Result = result(r, start, i)
	r.Judgements = []netp.Judgement{judgement("loss", 0.001*float64(i%3)), judgement("latency", 0.03)}
	r.Status = []netp.Status{netp.Pass, netp.Fail, netp.Inconclusive}[i%3]
	return r
}

// failed is the record of a session that never measured anything.
func failed(r netp.Record) netp.Record {
	r.Status = netp.Errored
	r.Result = netp.Result{Run: r.Run, Session: r.Session.Addr, Attempt: 1, Failure: &netp.Failure{
		Kind: netp.FailureUnreachable, Agent: "mel", Detail: "No answer from the data port of mel. Check its firewall.",
	}}
	return r
}

func result(r netp.Record, start time.Time, i int) netp.Result {
	delay := netp.NewDistribution(1e-9)
	for s := range int64(200) {
		delay.Record(30_000_000 + s*1000 + int64(i))
	}
	jitter := 0.00015
	loss := &netp.Ratio{Events: uint64(i % 3), Trials: 3000}
	out := netp.Result{
		Run: r.Run, Session: r.Session.Addr, Attempt: 1, Part: netp.Initiator, Agent: "syd",
		Started: start, Ended: start.Add(time.Minute), Measured: time.Minute, Completed: true,
		Metrics: map[string]netp.Measurement{
			"delay":       {Distribution: delay, Uncertainty: 0.0004},
			"loss.ratio":  {Ratio: loss},
			"loss.sent":   netp.Value(3000),
			"jitter":      {Value: &jitter},
			"rtt":         {Distribution: netp.NewDistribution(1e-9)},
			"empty.ratio": {Ratio: &netp.Ratio{}},
		},
		Facts: map[string]string{"mtu": "1500"},
	}
	for s := range 6 {
		at := time.Duration(s) * 10 * time.Second
		out.Intervals = append(out.Intervals, netp.Interval{Start: at, Length: 10 * time.Second, Values: map[string]float64{"delay.mean": 0.03 + float64(s)/1e4, "lost": float64(s % 2)}})
	}
	return out
}

func judgement(name string, point float64) netp.Judgement {
	return netp.Judgement{
		Assertion: name, Severity: netp.SeverityError, Condition: "loss.ratio <= 0.1 * percent", Location: netp.Location{File: "a.hcl", Line: 3},
		Status: netp.Pass, Reason: `It "holds", with \ to spare.`,
		Estimates: []netp.Estimate{{Metric: "loss.ratio", Unit: "1", Point: point, Low: 0, High: point + 0.001, Confidence: 0.95, Samples: 3000, Method: "clopper-pearson"}},
		Limits:    []netp.Limit{{Metric: "loss.ratio", Op: "<=", Value: 0.001, Unit: "1"}},
	}
}
