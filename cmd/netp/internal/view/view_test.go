package view

import (
	"encoding/json"
	"encoding/xml"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang/diag"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/runner/api"
	"github.com/netpupper/netp/runner/apply"
	"github.com/netpupper/netp/runner/gitops"
	"github.com/netpupper/netp/runner/standing"
	"github.com/netpupper/netp/runner/store"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares with testdata/name, or rewrites it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s differs (-want +got); rewrite with -update\n%s", name, d)
	}
}

var start = time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC)

func interval(metric, unit string, point, low, high float64) netp.Estimate {
	return netp.Estimate{Metric: metric, Unit: unit, Point: point, Low: low, High: high, Confidence: 0.95, Samples: 3000, Basis: netp.PerPacket}
}

func record(test, source, dest string, status netp.Status, judgements ...netp.Judgement) netp.Record {
	return netp.Record{
		Run: "0199c3a1-0000-7000-8000-000000000000", Suite: "backbone", Test: "test." + test, Attempts: 1,
		Session: netp.Session{Addr: fmt.Sprintf(`test.%s["%s->%s"]`, test, source, dest), Kind: "udp",
			Path: netp.Path{Source: netp.AgentID(source), Dest: dest}},
		Result: netp.Result{Started: start, Ended: start.Add(time.Minute), Measured: time.Minute, Completed: true,
			Health: []netp.Check{{Name: "send_time_error_p99", Value: 0.00006, Limit: 0.001, Unit: "s", OK: true}}},
		Judgements: judgements, Status: status,
	}
}

func sample() netp.Report {
	loss := func(status netp.Status, e netp.Estimate) netp.Judgement {
		return netp.Judgement{Assertion: "loss", Severity: netp.SeverityError, Condition: "loss.ratio <= var.max_loss * percent",
			Location: netp.Location{File: "backbone.netp.hcl", Line: 38}, Status: status, Estimates: []netp.Estimate{e},
			Limits: []netp.Limit{{Metric: "loss.ratio", Op: "<=", Value: 0.001, Unit: "1"}}}
	}
	bad := loss(netp.Fail, interval("loss.ratio", "1", 0.0043, 0.0023, 0.0074))
	bad.Reason = "Above the limit by at least 0.13 points."
	late := interval("delay.p99", "s", 0.052, 0.014, 0.090)
	late.Uncertainty = 0.038
	clock := netp.Judgement{Assertion: "latency", Severity: netp.SeverityError, Condition: "delay.p99 <= 60 * ms",
		Location: netp.Location{File: "backbone.netp.hcl", Line: 41}, Status: netp.Inconclusive, Estimates: []netp.Estimate{late},
		Limits: []netp.Limit{{Metric: "delay.p99", Op: "<=", Value: 0.06, Unit: "s"}}, Settle: "Would be decided by a clock bound under 8 ms."}
	gone := record("bulk", "per", "syd", netp.Errored)
	gone.Result.Failure = &netp.Failure{Kind: netp.FailureAgentLost, Agent: "per", Detail: "per's connection to the controller was lost and did not return within 10 s. Check the agent on per."}
	r := netp.Report{FormatVersion: netp.FormatVersion, Run: "0199c3a1-0000-7000-8000-000000000000", Suite: "backbone",
		Started: start, Ended: start.Add(94 * time.Second), Status: netp.Errored,
		Records: []netp.Record{
			record("voice", "syd", "mel", netp.Pass, loss(netp.Pass, interval("loss.ratio", "1", 0, 0, 0.0012))),
			record("voice", "mel", "syd", netp.Fail, bad),
			record("voice", "per", "syd", netp.Inconclusive, clock),
			gone,
		}}
	for _, record := range r.Records {
		r.Counts.Add(record.Status)
	}
	return r
}

func TestReport(t *testing.T) {
	for _, width := range []int{0, 60} {
		var out strings.Builder
		if err := (Terminal{Out: &out, Width: width}).Report(sample(), ReportOptions{Exit: 1, Stored: true}); err != nil {
			t.Fatal(err)
		}
		golden(t, fmt.Sprintf("report-%d.txt", width), out.String())
	}
}

func TestReportOfManyShowsWhatDidNotPass(t *testing.T) {
	r := sample()
	for i := range 200 {
		r.Records = append(r.Records, record("many", "a", fmt.Sprintf("b%d", i), netp.Pass))
	}
	var out strings.Builder
	if err := (Terminal{Out: &out}).Report(r, ReportOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n > 60 {
		t.Errorf("report of 204 sessions has %d lines, want a screenful", n)
	}
	if !strings.Contains(out.String(), "201 sessions that passed") {
		t.Errorf("the hidden sessions are not counted:\n%s", out.String())
	}
}

func TestInstrumentShowsTheWorseEnd(t *testing.T) {
	j := netp.Judgement{Estimates: []netp.Estimate{{Metric: "loss.ratio"}}}
	got := instrument([]netp.Check{
		{Name: "cpu_saturation", Value: 0.3, Unit: "1", OK: true},
		{Name: "rate_achieved", Value: 0.99, Unit: "1", Least: true, OK: true},
		{Name: "host_stall", Value: 0.3, Unit: "s", OK: true, Metrics: []string{"delay"}},
		{Name: "cpu_saturation", Value: 0.97, Unit: "1", OK: true, Reason: "No harm: the path was slower."},
		{Name: "rate_achieved", Value: 1, Unit: "1", Least: true, OK: true},
	}, j)
	if want := "The instrument was sound: cpu saturation 97 % (no harm: the path was slower), rate achieved 99 %."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestChecksSayWhyTheyAreOK(t *testing.T) {
	rows := Terminal{}.checks([]netp.Check{
		{Name: "cpu_saturation", Value: 1, Limit: 0.95, Unit: "1", OK: true, Reason: "No harm: over loopback the host is the path."},
		{Name: "rate_achieved", Value: 1, Limit: 0.98, Least: true, Unit: "1", OK: true},
	})
	want := [][]string{
		{"", "ok cpu saturation", "100 %, limit 95 %", "No harm: over loopback the host is the path."},
		{"", "ok rate achieved", "100 %, at least 98 %", ""},
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Error(diff)
	}
}

func TestJUnit(t *testing.T) {
	data, err := JUnit(sample())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "junit.xml", string(data))
	var doc junitSuites
	if err := xml.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Tests != 4 || doc.Failures != 1 || doc.Errors != 1 || doc.Skipped != 1 {
		t.Errorf("tests %d failures %d errors %d skipped %d, want 4 1 1 1", doc.Tests, doc.Failures, doc.Errors, doc.Skipped)
	}
}

// TestUnfinished: a run that was killed, or is still going on, has no verdict and
// took no time.
func TestUnfinished(t *testing.T) {
	r := sample()
	r.Ended, r.Status = time.Time{}, ""
	r = store.Run{Report: r}.With(r.Records[:1]) // a pass
	var out strings.Builder
	if err := (Terminal{Out: &out}).Report(r, ReportOptions{Exit: 1, Stored: true}); err != nil {
		t.Fatal(err)
	}
	golden(t, "report-unfinished.txt", out.String())
	for state, want := range map[string]string{
		api.Running:     "RUNNING: 8 sessions in all; sessions without a record are not listed\n",
		api.Interrupted: "DID NOT END: the controller was stopped meanwhile, or its store was away; sessions without a record are not listed\n",
		Killed:          "DID NOT END: its process was killed; sessions without a record are not listed\n",
	} {
		out.Reset()
		if err := (Terminal{Out: &out}).Report(r, ReportOptions{Stored: true, State: state, Planned: 8}); err != nil || !strings.HasSuffix(out.String(), want) {
			t.Errorf("%s: %v\n%s", state, err, out.String())
		}
	}
	text, err := Markdown(r)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text, "❌") || !strings.Contains(text, "**DID NOT END** · 1 pass") {
		t.Errorf("Markdown of a run that did not end:\n%s", text)
	}
	data, err := JUnit(r)
	if err != nil {
		t.Fatal(err)
	}
	var doc junitSuites
	if err := xml.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Tests != 2 || doc.Errors != 1 || doc.Time != seconds(0) {
		t.Errorf("tests %d, errors %d, time %s; want the run itself as an error:\n%s", doc.Tests, doc.Errors, doc.Time, data)
	}
}

func TestMarkdownKeepsItsBudget(t *testing.T) {
	text, err := Markdown(sample())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "report.md", text)
	r := sample()
	for i := range 5000 {
		bad := r.Records[1]
		bad.Session.Path.Dest = fmt.Sprintf("site-%d|<b>", i)
		r.Records = append(r.Records, bad)
	}
	text, err = Markdown(r)
	if err != nil {
		t.Fatal(err)
	}
	if n := len([]rune(text)); n > markdownBudget || n < markdownBudget/4 {
		t.Errorf("report of 5 004 sessions has %d characters, want most of %d", n, markdownBudget)
	}
	if strings.Contains(text, "<b>") || strings.Contains(text, "0|<") {
		t.Error("a name reached the report unescaped")
	}
}

// TestMarkdownOfCancelledRun: sessions that were cancelled are counted, and the run is not called an error without one.
func TestMarkdownOfCancelledRun(t *testing.T) {
	r := sample()
	r.Cancelled, r.Status, r.Counts = true, netp.Errored, netp.Counts{Passed: 9, Skipped: 7}
	text, err := Markdown(r)
	if want := "**CANCELLED** · 9 pass, 0 fail, 0 inconclusive, 0 error, 7 cancelled · "; err != nil || !strings.Contains(text, want) {
		t.Errorf("%v, want %s\n%s", err, want, text)
	}
}

func TestDirFlag(t *testing.T) {
	for dir, want := range map[string]string{
		"": "", ".": "", "wan": "-dir=wan ", "../a/b-1_2.c": "-dir=../a/b-1_2.c ", "my suite": "-dir='my suite' ", "$x's": `-dir='$x'\''s' `,
	} {
		if got := DirFlag(dir); got != want {
			t.Errorf("%q: got %q, want %q", dir, got, want)
		}
	}
}

func TestRunsAndHistory(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.Local)
	var out strings.Builder
	runs := []api.Run{
		{Run: store.Run{Report: netp.Report{Run: "01a214b7-b854-7000-8000-000000000001", Suite: "wan", Started: at, Ended: at.Add(time.Minute), Status: netp.Fail}, Sessions: 2,
			Trigger: store.BySchedule, Slot: &store.Slot{Suite: "wan", Test: "test.voice", Start: at}}, State: api.Ended},
		{Run: store.Run{Report: netp.Report{Run: "01a214b7-b855-7000-8000-000000000002", Suite: "wan", Started: at}, Sessions: 2}, State: api.Interrupted},
		{Run: store.Run{Report: netp.Report{Run: "01a214b7-b856-7000-8000-000000000003", Suite: "wan", Started: at}, Sessions: 2}, State: api.Running},
	}
	if err := (Terminal{Out: &out, Width: 120}).Runs(runs); err != nil {
		t.Fatal(err)
	}
	missed := sample().Records[0]
	missed.Result = netp.Result{Failure: &netp.Failure{Kind: netp.FailureMissed}}
	missed.Status, missed.Judgements, missed.Scheduled = netp.Errored, nil, at
	measured := sample().Records[0]
	measured.Result.Started = at.Add(time.Hour)
	if err := (Terminal{Out: &out, Width: 120}).History([]netp.Record{measured, missed}, 2, ""); err != nil {
		t.Fatal(err)
	}
	golden(t, "history.txt", out.String())
	out.Reset()
	(Terminal{Out: &out, Width: 120}).Session(missed, netp.KindSpec{}, "")
	if !strings.Contains(out.String(), "of suite backbone, 2026-11-23T") {
		t.Errorf("a session that never ran is explained as\n%s", out.String())
	}
}

func TestStatusTellsWhatRuns(t *testing.T) {
	commit := []apply.Lock{{Suite: "wan", Run: "01a214b7-b854-7000-8000-000000000001", Holder: "a commit"}}
	turn := []standing.Status{{Suite: "wan", Test: "test.voice", Running: 1}, {Suite: "wan", Test: "test.bulk"}}
	for want, s := range map[string]api.Status{
		"Running     nothing\n": {}, "run 01a214b7-b854 by a commit": {Running: commit}, "Running     1 standing test\n": {Standing: turn},
		"not checked": {Sources: []gitops.Status{{Name: "wan"}}},
		"\nwan has 1 warning:\nWarning: Unused declaration, on lan/a.hcl line 3\n": {Sources: []gitops.Status{{
			Name: "wan", Conditions: []gitops.Condition{{Type: gitops.Ready, Status: gitops.True}},
			Diagnostics: diag.List{{Severity: diag.Warning, Summary: "Unused declaration", Range: &diag.Range{Filename: "lan/a.hcl", Start: diag.Pos{Line: 3}}}},
		}}},
	} {
		var out strings.Builder
		if err := (Terminal{Out: &out, Width: 120}).Status("https://x", s, time.Now()); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("got %v\n%s\nwant %q", err, out.String(), want)
		}
	}
}

func TestPlanMarkdownKeepsItsBudget(t *testing.T) {
	p := &plan.Plan{Suite: plan.SuiteInfo{Name: "a|b"}, Changes: []plan.Change{{Addr: "test.``` x", Action: plan.Create, Sessions: 2}}}
	short := PlanMarkdown(PlanOutcome{Plan: p})
	if !strings.HasPrefix(short, "## netp plan: a\\|b\n\nPlan: 1 test to add") || strings.Count(short, "```") != 2 || !strings.HasSuffix(short, "```\n") {
		t.Errorf("the plan is\n%s", short)
	}
	for i := range 3000 {
		p.Warnings = append(p.Warnings, diag.Diagnostic{Severity: diag.Warning, Summary: fmt.Sprintf("Warning %d", i), Detail: "Something → is odd."})
	}
	long := PlanMarkdown(PlanOutcome{Plan: p})
	if n := len([]rune(long)); n > markdownBudget || n < markdownBudget*9/10 {
		t.Errorf("a long plan has %d characters, want nearly %d", n, markdownBudget)
	}
	if !strings.HasSuffix(long, " more lines; the job's log has them.\n```\n") {
		t.Errorf("a long plan ends with\n%s", long[len(long)-200:])
	}
	none := PlanMarkdown(PlanOutcome{Diagnostics: diag.List{{Severity: diag.Error, Summary: "Unknown metric", Detail: "It has: rtt."}}})
	if !strings.Contains(none, "There is no plan") || !strings.Contains(none, "Error: Unknown metric") {
		t.Errorf("no plan is told as\n%s", none)
	}
}

func TestTrafficOfAPlan(t *testing.T) {
	for _, c := range []struct {
		cost plan.Cost
		want string
	}{
		{plan.Cost{}, ""},
		{plan.Cost{Bytes: 2e6}, "Traffic    2 MB in all\n"},
		{plan.Cost{Bytes: 2e6, Estimated: true}, "Traffic    up to 2 MB in all\n"},
		{plan.Cost{Bytes: 2e6, Estimated: true, AssumedRate: 1e9}, "Traffic    about 2 MB in all, if paths without a declared capacity carry 1 Gbit/s\n"},
		{plan.Cost{Bytes: 2e9, Places: []plan.PlaceCost{{Place: "link.core", Bytes: 2e9, PeakRate: 1e9, Capacity: 1e9}}},
			"Traffic    2 GB in all · busiest: link.core, 2 GB both ways, peak 1 Gbit/s one way (100 % of 1 Gbit/s)\n"},
	} {
		var out strings.Builder
		if (Terminal{Out: &out}).traffic(c.cost); out.String() != c.want {
			t.Errorf("%+v: got %q, want %q", c.cost, out.String(), c.want)
		}
	}
}

func TestPowerIsSaidOnce(t *testing.T) {
	var out strings.Builder
	(Terminal{Out: &out}).power([]plan.Power{{Text: "a"}, {Text: "a", Needed: 3}, {Text: "b"}})
	if want := "Power      a\n           b\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

// TestDiagnosticOfInstance: of what a for_each or a module makes several of, the text says which one is meant, as the JSON does.
func TestDiagnosticOfInstance(t *testing.T) {
	for addr, want := range map[string]string{
		`module.branch["mel"].path.up`: `on a.hcl line 7, in path "up", with module.branch["mel"].path.up:`,
		`path.up["mel"]`:               `on a.hcl line 7, in path "up", with path.up["mel"]:`,
		"path.up":                      `on a.hcl line 7, in path "up":`,
	} {
		var out strings.Builder
		Terminal{Out: &out}.Diagnostics(diag.List{{Severity: diag.Error, Summary: "Empty path", Address: addr,
			Range: &diag.Range{Filename: "a.hcl", Start: diag.Pos{Line: 7}}, Snippet: &diag.Snippet{Context: `path "up"`, Code: "to = var.hub", StartLine: 7}}}, false)
		if !strings.Contains(out.String(), want+"\n") {
			t.Errorf("%s: got\n%s\nwant %s", addr, out.String(), want)
		}
	}
}

func TestDiagnostics(t *testing.T) {
	list := diag.List{
		{Severity: diag.Error, Summary: "Unknown metric",
			Detail: "A test of kind tcp has no metric \"thruput\". Did you mean \"throughput\"?",
			Range:  &diag.Range{Filename: "backbone.netp.hcl", Start: diag.Pos{Line: 44, Column: 17, Byte: 900}, End: diag.Pos{Line: 44, Column: 24, Byte: 907}},
			Snippet: &diag.Snippet{Context: `test "bulk", assert "speed"`, Code: "    condition = thruput.mean >= var.min * Mbps", StartLine: 44,
				HighlightStartOffset: 16, HighlightEndOffset: 23, Values: []diag.Value{{Traversal: "var.min", Statement: "is 900"}}}},
		{Severity: diag.Warning, Summary: "Agent not synchronised", Detail: "No place."},
	}
	var out strings.Builder
	Terminal{Out: &out}.Diagnostics(list, false)
	golden(t, "diagnostics.txt", out.String())
	out.Reset()
	Terminal{Out: &out}.Diagnostics(list[1:], true)
	if got := out.String(); got != "Warning: Agent not synchronised\n" {
		t.Errorf("compact warning is %q", got)
	}
	out.Reset()
	if err := Validation(&out, list); err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal([]byte(out.String()), &doc); err != nil {
		t.Fatal(err)
	}
	if doc["valid"] != false || doc["error_count"] != 1.0 || doc["warning_count"] != 1.0 || doc["format_version"] != "1.0" {
		t.Errorf("validation document is %v", doc)
	}
}

func planOf(sessions int, makespan time.Duration) *plan.Plan {
	return &plan.Plan{Suite: plan.SuiteInfo{Name: "backbone"}, Sessions: make([]plan.Session, sessions), Makespan: makespan}
}

func TestProgressRedrawsInPlace(t *testing.T) {
	var out strings.Builder
	p := NewProgress(Terminal{Out: &out, Live: true, Width: 80}, planOf(2, 10*time.Second), start)
	s := sample().Records[0]
	p.Start(s.Test, s.Session, start)
	p.Draw(start.Add(400 * time.Millisecond))
	p.Update(netp.Progress{Session: s.Session.Addr, Values: map[string]float64{"rate": 80e3, "lost": 0}})
	p.Draw(start.Add(2 * time.Second))
	p.Finish(s)
	p.Close()
	text := out.String()
	if strings.Count(text, "\x1b[2A") != 2 {
		t.Errorf("the region of two lines was not redrawn in place twice: %q", text)
	}
	if !strings.Contains(text, "80 kbit/s") || !strings.Contains(text, "syd → mel   400 ms") {
		t.Errorf("the running session is not shown: %q", text)
	}
}

func TestProgressPlain(t *testing.T) {
	var out strings.Builder
	p := NewProgress(Terminal{Out: &out}, planOf(3, 0), start)
	unjudged := sample().Records[0]
	unjudged.Judgements = nil
	for _, r := range append(sample().Records[:2], unjudged) {
		p.Finish(r)
	}
	p.Draw(start)
	p.Close()
	golden(t, "progress.txt", out.String())
}

// TestGistSaysFiguresOnce: also where others are between them.
func TestGistSaysFiguresOnce(t *testing.T) {
	loss := netp.Judgement{Estimates: []netp.Estimate{interval("loss.ratio", "1", 0.0043, 0.0023, 0.0074)}}
	delay := netp.Judgement{Estimates: []netp.Estimate{interval("delay.p99", "s", 0.0312, 0.0308, 0.0316)}}
	if got, want := gist(record("voice", "a", "b", netp.Pass, loss, delay, loss)), "loss 0.43 % 0.23–0.74, delay p99 31.2 ms ± 0.4"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestMessagesOfFailures are in every report, and only of failures.
func TestMessagesOfFailures(t *testing.T) {
	r := sample()
	r.Records[1].Judgements[0].Message = "Ring the carrier."
	r.Records[2].Judgements[0].Message = "Ring the clockmaker."
	text, err := Markdown(r)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := (Terminal{Out: &out}).Report(r, ReportOptions{}); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"Markdown": text, "terminal": out.String()} {
		if !strings.Contains(text, "\nRing the carrier.\nAbove the limit") && !strings.Contains(text, "\n  Ring the carrier.\n  Above the limit") || strings.Contains(text, "clockmaker") {
			t.Errorf("%s:\n%s", name, text)
		}
	}
}

func TestStreamIsOneObjectPerLine(t *testing.T) {
	var out strings.Builder
	s := NewStream(&out, "1.2.3", func() time.Time { return start })
	r := sample()
	for _, record := range r.Records {
		s.Record(record)
	}
	s.Summary(r, 1)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for i, line := range lines {
		var event map[string]any
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("line %d is not JSON: %v", i, err)
		}
		for _, key := range []string{"@level", "@message", "@module", "@timestamp", "type"} {
			if event[key] == nil {
				t.Errorf("line %d has no %s: %s", i, key, line)
			}
		}
	}
	if !strings.Contains(lines[0], `"type":"version"`) || !strings.Contains(lines[len(lines)-1], `"status":"error"`) {
		t.Errorf("first line %s\nlast line %s", lines[0], lines[len(lines)-1])
	}
}

// TestLongLinesAreClipped shows the part of a line that is at fault.
func TestLongLinesAreClipped(t *testing.T) {
	code := strings.Repeat("ä", 500) + "wrong" + strings.Repeat("b", 500)
	at := strings.Index(code, "wrong")
	var out strings.Builder
	Terminal{Out: &out, Width: 80}.Diagnostics(diag.List{{Severity: diag.Error, Summary: "Fault", Detail: "It is.",
		Range:   &diag.Range{Filename: "a.hcl", Start: diag.Pos{Line: 7}},
		Snippet: &diag.Snippet{Code: code, StartLine: 7, HighlightStartOffset: at, HighlightEndOffset: at + len("wrong")}}}, false)
	lines := strings.Split(out.String(), "\n")
	source, mark := []rune(lines[3]), lines[4]
	if len(source) > 80 {
		t.Errorf("%d columns", len(source))
	}
	if from, to := strings.Index(mark, "~"), strings.LastIndex(mark, "~"); from < 0 || string(source[from:to+1]) != "wrong" {
		t.Errorf("the mark is under something else:\n%s\n%s", lines[3], mark)
	}
}

// TestNothingSteersTheTerminal but netp: control characters in data are shown.
func TestNothingSteersTheTerminal(t *testing.T) {
	const evil = "\x1b]0;pwn\a\x1b[2J\u009b2J\r\x9b\x7f"
	bad := netp.Judgement{Assertion: "loss", Severity: netp.SeverityError, Status: netp.Fail, Condition: "loss.ratio <= 0 " + evil, Message: "Message " + evil + " ends.",
		Reason: evil, Location: netp.Location{File: evil}, Estimates: []netp.Estimate{interval("loss.ratio", "1", 0.5, 0.4, 0.6)}}
	r := sample()
	r.Records = append(r.Records, record("evil", evil, "b", netp.Fail, bad), record("evil", evil, "c", netp.Errored))
	r.Records[5].Result.Failure = &netp.Failure{Kind: netp.FailureAgentLost, Agent: evil, Detail: "Detail " + evil + "\nof two lines."}
	faults := diag.List{{Severity: diag.Error, Summary: evil, Detail: evil, Range: &diag.Range{Filename: evil, Start: diag.Pos{Line: 1}},
		Snippet: &diag.Snippet{Code: "\ta = " + evil + "bad\r\n", Context: evil, StartLine: 1, HighlightStartOffset: 5 + len(evil), HighlightEndOffset: 8 + len(evil)}}}
	for _, color := range []bool{false, true} {
		var out strings.Builder
		terminal := Terminal{Out: &out, Color: color, Width: 200, Live: true}
		if err := terminal.Report(r, ReportOptions{Stored: true}); err != nil {
			t.Fatal(err)
		}
		terminal.Diagnostics(faults, false)
		terminal.Problem(evil + "\n" + evil)
		terminal.Session(r.Records[0], netp.KindSpec{}, "")
		text := out.String()
		if color {
			if !strings.Contains(text, "\x1b[31mFAIL\x1b[0m") {
				t.Error("our colours are gone")
			}
			for _, s := range []style{normal, bold, red, green, yellow, cyan} {
				text = strings.ReplaceAll(text, s.sequence(), "")
			}
		}
		if i := strings.IndexFunc(text, func(c rune) bool { return unicode.IsControl(c) && c != '\n' }); i >= 0 || !utf8.ValidString(text) {
			t.Errorf("color %v: at %d of %q", color, i, text)
		}
		if !strings.Contains(text, "Message \ufffd]0;pwn\ufffd\ufffd[2J\ufffd2J") {
			t.Errorf("what was written cannot be read:\n%s", text)
		}
		var source, mark string
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "  1:  a = ") {
				source = line
			}
			if strings.HasSuffix(line, "~\n") {
				mark = line
			}
		}
		if from, want := strings.Index(mark, "~~~"), visible(source[:max(0, strings.Index(source, "bad"))]); from != want || want == 0 {
			t.Errorf("the mark is in column %d, want %d:\n%s%s", from, want, source, mark)
		}
		out.Reset()
		p := NewProgress(terminal, planOf(2, 0), start)
		p.Start(r.Records[0].Test, netp.Session{Addr: "x", Path: netp.Path{Source: evil, Dest: "b"}}, start)
		p.Draw(start)
		if strings.Contains(out.String(), "\x1b]") || strings.Contains(out.String(), "\x1b[2J") || !strings.Contains(out.String(), "\x1b[2K") {
			t.Errorf("progress is %q", out.String())
		}
	}
}

// TestFoldedLabels: what stands beside a label stays in its column where the terminal is narrow.
func TestFoldedLabels(t *testing.T) {
	var out strings.Builder
	terminal := Terminal{Out: &out, Width: 40}
	terminal.power([]plan.Power{{Text: `test.t "p50": delay.p50 from 60 packets`}, {Text: `test.t "p99": delay.p99 from 60 packets`}})
	terminal.fold("13 sessions: 13 pass, 0 fail · run 01a21e31-b0e8", "  ")
	want := `Power      test.t "p50": delay.p50 from
           60 packets
           test.t "p99": delay.p99 from
           60 packets
13 sessions: 13 pass, 0 fail · run
  01a21e31-b0e8
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
