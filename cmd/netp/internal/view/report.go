package view

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/estimate"
	"github.com/netpupper/netp/quantity"
	"github.com/netpupper/netp/runner/api"
)

// maxRows is the number of sessions a report shows one by one; beyond it, only
// those that did not pass are shown.
const maxRows = 50

// ReportOptions say how to print a report.
type ReportOptions struct {
	// SuiteDir is where the suite's files are, to quote conditions; "" to not quote.
	SuiteDir string
	// Exit is the exit code that goes with the verdict.
	Exit int
	// Stored is true when `netp show` and `netp explain` will find the run.
	Stored bool
	// Dir is where they find it: the suite's directory; "" for a controller.
	Dir string
	// State is where a run stands, as a controller says (api.Running, ...), or Killed; "" when nobody says. Planned is how many sessions it has.
	State   string
	Planned int
}

// Report prints the table, an explanation for everything that is not a pass, and
// the verdict.
func (t Terminal) Report(r netp.Report, o ReportOptions) error {
	slices.SortStableFunc(r.Records, func(a, b netp.Record) int {
		return cmp.Or(strings.Compare(a.Test, b.Test), strings.Compare(a.Session.Addr, b.Session.Addr))
	})
	names := namesOf(r.Records)
	if len(r.Records) > 0 {
		rows, hidden := shown(r.Records)
		if err := t.resultTable(rows, names).plain(t); err != nil {
			return err
		}
		if hidden > 0 {
			t.Printf("  … and %s that passed\n", plural(hidden, "session"))
		}
		t.Printf("\n")
	}
	for _, record := range r.Records {
		if !cancelled(record) {
			t.explain(record, names, o.SuiteDir)
		}
	}
	t.verdictLine(r, o)
	return nil
}

// shown picks the records the table lists.
func shown(records []netp.Record) (rows []netp.Record, hidden int) {
	if len(records) <= maxRows {
		return records, 0
	}
	for _, r := range records {
		if r.Status != netp.Pass || warned(r) {
			rows = append(rows, r)
		}
	}
	if len(rows) > 4*maxRows {
		rows = rows[:4*maxRows]
	}
	return rows, len(records) - len(rows)
}

func warned(r netp.Record) bool {
	return slices.ContainsFunc(r.Judgements, func(j netp.Judgement) bool { return j.Status != netp.Pass })
}

// resultTable has one row per session and one column per metric asserted on.
func (t Terminal) resultTable(records []netp.Record, n names) *table {
	metrics := assertedMetrics(records)
	out := &table{header: []string{"test", "path"}}
	for _, m := range metrics {
		out.header = append(out.header, heading(m))
	}
	out.header = append(out.header, "verdict")
	for i := len(metrics) - 1; i >= 0; i-- {
		out.spare = append(out.spare, i+2)
	}
	for _, r := range records {
		cells := []string{strings.TrimPrefix(r.Test, "test."), n.of(r.Session)}
		for _, m := range metrics {
			cells = append(cells, metricCell(r, m))
		}
		out.add(append(cells, t.outcome(r))...)
	}
	return out
}

// outcome is the verdict on a session; one that was cancelled has none.
func (t Terminal) outcome(r netp.Record) string {
	if cancelled(r) {
		return t.paint(yellow, "cancelled")
	}
	return t.verdict(r.Status)
}

func cancelled(r netp.Record) bool {
	return r.Result.Failure != nil && r.Result.Failure.Kind == netp.FailureCancelled
}

// assertedMetrics lists the metrics of all judgements in order of appearance.
func assertedMetrics(records []netp.Record) []string {
	var out []string
	for _, r := range records {
		for _, j := range r.Judgements {
			for _, e := range j.Estimates {
				if !slices.Contains(out, e.Metric) {
					out = append(out, e.Metric)
				}
			}
		}
	}
	return out
}

func metricCell(r netp.Record, metric string) string {
	for _, j := range r.Judgements {
		for _, e := range j.Estimates {
			if e.Metric == metric {
				return cell(e)
			}
		}
	}
	return "-"
}

// Explain prints why a record is not a plain pass; nothing for one that is.
func (t Terminal) Explain(r netp.Record, suiteDir string) { t.explain(r, nil, suiteDir) }

func (t Terminal) explain(r netp.Record, n names, suiteDir string) {
	name := n.of(r.Session)
	if f := r.Result.Failure; f != nil {
		t.failure(r, f, name)
	}
	for _, j := range r.Judgements {
		if j.Status != netp.Pass && (r.Result.Failure == nil || len(j.Estimates) > 0) {
			t.judgement(r, j, name, suiteDir)
		}
	}
}

func (t Terminal) failure(r netp.Record, f *netp.Failure, name string) {
	title := "session " + string(f.Kind)
	if f.Agent != "" {
		title += " (agent " + string(f.Agent) + ")"
	}
	t.Printf("%s  %s  %s  %s\n", t.verdict(r.Status), r.Test, name, strings.ReplaceAll(title, "_", " "))
	t.Printf("%s", wrap(f.Detail, "  ", min(t.Width, 100)))
	if r.Attempts > 1 {
		t.Printf("  Tried %d times.\n", r.Attempts)
	}
	t.Printf("\n")
}

func (t Terminal) judgement(r netp.Record, j netp.Judgement, name, suiteDir string) {
	word := strings.ToUpper(string(j.Status))
	if j.Severity == netp.SeverityWarning {
		word = "WARNING (" + string(j.Status) + ")"
	}
	t.Printf("%s  %s  %s  assert %q\n", t.paint(wordStyle(j), word), r.Test, name, j.Assertion)
	t.Printf("%s", quote(j, suiteDir))
	names := []string{}
	for _, e := range j.Estimates {
		names = append(names, e.Metric)
	}
	for _, l := range j.Limits {
		names = append(names, "limit "+l.Op)
	}
	width := 0
	for _, n := range names {
		width = max(width, len(n))
	}
	for _, e := range j.Estimates {
		t.Printf("        │ %-*s  %s\n", width, e.Metric, estimate.Describe(e))
	}
	for _, l := range j.Limits {
		t.Printf("        │ %-*s  %s\n", width, "limit "+l.Op, limitText(l, len(j.Limits) > 1))
	}
	said := []string{j.Reason, j.Settle}
	if j.Status == netp.Fail {
		said = []string{j.Message, j.Reason}
	}
	for _, text := range said {
		if text != "" {
			t.Printf("%s", wrap(text, "  ", min(t.Width, 100)))
		}
	}
	if j.Status == netp.Fail {
		t.Printf("%s", wrap(instrument(r.Result.Health, j), "  ", min(t.Width, 100)))
	}
	t.Printf("\n")
}

func limitText(l netp.Limit, named bool) string {
	text := quantity.Exact(l.Value, l.Unit)
	if named {
		text += " (" + l.Metric + ")"
	}
	return text
}

func wordStyle(j netp.Judgement) style {
	if j.Status == netp.Inconclusive || j.Severity == netp.SeverityWarning {
		return yellow
	}
	return red
}

// quote gives the lines of the condition from the suite's file, or the condition
// itself when the file is not at hand.
func quote(j netp.Judgement, suiteDir string) string {
	place := fmt.Sprintf("  on %s line %d:\n", j.Location.File, j.Location.Line)
	if suiteDir != "" {
		if data, err := os.ReadFile(filepath.Join(suiteDir, filepath.FromSlash(j.Location.File))); err == nil {
			lines := strings.Split(string(data), "\n")
			if n := j.Location.Line; n >= 1 && n <= len(lines) && strings.Contains(lines[n-1], "condition") {
				return place + fmt.Sprintf("  %d: %s\n", n, strings.ReplaceAll(strings.TrimRight(lines[n-1], "\r"), "\t", " "))
			}
		}
	}
	return place + "  condition = " + strings.Join(strings.Fields(j.Condition), " ") + "\n"
}

// instrument says that the measurement itself was sound, with the figures of the
// checks that touch the judgement's metrics: the worse one where both ends made it.
func instrument(checks []netp.Check, j netp.Judgement) string {
	var shown []netp.Check
	for _, c := range checks {
		if !c.OK || !slices.ContainsFunc(j.Estimates, func(e netp.Estimate) bool { return c.Touches(e.Metric) }) {
			continue
		}
		i := slices.IndexFunc(shown, func(other netp.Check) bool { return other.Name == c.Name })
		switch {
		case i < 0:
			shown = append(shown, c)
		case (c.Value > shown[i].Value) != c.Least:
			shown[i] = c
		}
	}
	if len(shown) == 0 {
		return ""
	}
	parts := make([]string, len(shown))
	for i, c := range shown {
		parts[i] = strings.ReplaceAll(c.Name, "_", " ") + " " + quantity.Format(c.Value, c.Unit)
		if because := strings.TrimSuffix(c.Reason, "."); because != "" { // beyond its limit
			parts[i] += " (" + strings.ToLower(because[:1]) + because[1:] + ")"
		}
	}
	return "The instrument was sound: " + strings.Join(parts, ", ") + "."
}

// unfinished stands for the verdict of a run that has none.
const unfinished = "did not end"

// Killed is the state of a run without a controller whose process is gone.
const Killed = "killed"

// took is how long a run took; 0 for one that did not end.
func took(r netp.Report) time.Duration {
	if r.Ended.IsZero() {
		return 0
	}
	return r.Ended.Sub(r.Started)
}

// outcomes says how many sessions ended how.
func outcomes(c netp.Counts) string {
	text := fmt.Sprintf("%d pass, %d fail, %d inconclusive, %d error", c.Passed, c.Failed, c.Inconclusive, c.Errored)
	if c.Skipped > 0 {
		text += fmt.Sprintf(", %d cancelled", c.Skipped)
	}
	return text
}

func (t Terminal) verdictLine(r netp.Report, o ReportOptions) {
	line := plural(r.Counts.Total(), "session") + ": " + outcomes(r.Counts)
	if r.Ended.IsZero() {
		t.fold(fmt.Sprintf("%s · run %s", line, ShortID(r.Run)), "  ")
		t.unfinishedLine(o)
		return
	}
	t.fold(fmt.Sprintf("%s · %s · run %s", line, Duration(took(r)), ShortID(r.Run)), "  ")
	word := t.verdict(r.Status)
	switch {
	case r.Cancelled:
		word = t.paint(yellow, "CANCELLED")
	case r.Status == netp.Pass:
		word = t.paint(green, "PASS")
	case r.Status == netp.Inconclusive:
		word = t.paint(yellow, "INCONCLUSIVE")
	}
	why := ""
	if r.Status == netp.Pass && !r.Cancelled && o.Exit != 0 {
		why = ": the run passed, but not all could be written"
	}
	t.Printf("%s  exit %d%s\n", word, o.Exit, why)
	if next := nextStep(r, o); next != "" {
		t.fold(next, "  ")
	}
}

// unfinishedLine says where a run stands that has no verdict.
func (t Terminal) unfinishedLine(o ReportOptions) {
	word, why := unfinished, "it is still going on, or was killed"
	switch o.State {
	case api.Running:
		word, why = "running", fmt.Sprintf("%s in all", plural(o.Planned, "session"))
	case api.Interrupted:
		why = "the controller was stopped meanwhile, or its store was away"
	case Killed:
		why = "its process was killed"
	}
	t.Printf("%s: %s; sessions without a record are not listed\n", t.paint(yellow, strings.ToUpper(word)), why)
}

func nextStep(r netp.Report, o ReportOptions) string {
	if !o.Stored {
		return ""
	}
	id := ShortID(r.Run)
	for _, record := range r.Records {
		if !r.Cancelled && record.Status == r.Status && r.Status != netp.Pass {
			return fmt.Sprintf("Next: netp explain %s'%s' · netp show %s%s", DirFlag(o.Dir), id+"/"+record.Session.Addr, DirFlag(o.Dir), id)
		}
	}
	return "Next: netp show " + DirFlag(o.Dir) + id
}

// DirFlag is the flag, with a space behind it, that makes a command find the runs of the
// suite in dir; "" where it needs none.
func DirFlag(dir string) string {
	switch {
	case dir == "" || dir == ".":
		return ""
	case strings.ContainsFunc(dir, func(c rune) bool {
		return !unicode.IsLetter(c) && !unicode.IsDigit(c) && !strings.ContainsRune("/._-", c)
	}):
		dir = "'" + strings.ReplaceAll(dir, "'", `'\''`) + "'"
	}
	return "-dir=" + dir + " "
}

// ShortID is the part of a run's id that people type: its time to the
// millisecond. Every command takes it, or any other unique beginning.
func ShortID(id string) string { return id[:min(len(id), 13)] }
