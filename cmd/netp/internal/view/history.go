package view

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/runner/api"
	"github.com/netpupper/netp/runner/store"
)

const moment = "2006-01-02 15:04:05"

// Runs prints one line per run.
func (t Terminal) Runs(runs []api.Run) error {
	rows := &table{header: []string{"run", "suite", "started", "by", "took", "sessions", "verdict"}, spare: []int{4, 3, 1}}
	for _, r := range runs {
		lasted, verdict := "-", unfinished
		switch {
		case r.Finished():
			lasted, verdict = Duration(took(r.Report)), t.verdict(r.Report.Status)
		case r.State == api.Running:
			verdict = "running"
		}
		if r.Report.Cancelled {
			verdict = "cancelled"
		}
		rows.add(ShortID(r.Report.Run), r.Report.Suite, r.Report.Started.Local().Format(moment), began(r.Run), lasted, itoa(r.Sessions), verdict)
	}
	if len(rows.rows) == 0 {
		t.Printf("No runs.\n")
		return nil
	}
	return rows.plain(t)
}

// began says what began a run: a trigger, and the test whose turn it was.
func began(r store.Run) string {
	text := cmp.Or(string(r.Trigger), "-")
	if r.Slot != nil {
		text += " " + r.Slot.Test
	}
	return text
}

// History prints one line per record, in the order given. limit is the number that
// was asked for at most; 0 for all. dir is as in ReportOptions.
func (t Terminal) History(records []netp.Record, limit int, dir string) error {
	rows := t.resultTable(records, namesOf(records))
	rows.header = slices.Insert(rows.header, 0, "time")
	for i := range rows.spare {
		rows.spare[i]++
	}
	for i, r := range records {
		rows.rows[i] = slices.Insert(rows.rows[i], 0, measuredAt(r).Local().Format(moment))
		if f := r.Result.Failure; f != nil && !cancelled(r) {
			rows.rows[i][len(rows.rows[i])-1] += " (" + strings.ReplaceAll(string(f.Kind), "_", " ") + ")"
		}
	}
	if err := rows.plain(t); err != nil {
		return err
	}
	if limit > 0 && len(records) == limit {
		t.Printf("\nThe latest %s; for more give -limit, 0 for all.\n", plural(limit, "record"))
	}
	last := records[0]
	t.Printf("\nNext: netp explain %s'%s/%s'\n", DirFlag(dir), ShortID(last.Run), last.Session.Addr)
	return nil
}

// measuredAt is when a session began; for one that did not, when it was to.
func measuredAt(r netp.Record) time.Time {
	for _, at := range []time.Time{r.Result.Started, r.Scheduled} {
		if !at.IsZero() {
			return at
		}
	}
	return r.Written
}

// Paths prints the paths that have records.
func (t Terminal) Paths(paths []store.KnownPath) error {
	if len(paths) == 0 {
		t.Printf("Nothing is recorded yet. Run a suite first: netp apply DIR\n")
		return nil
	}
	rows := &table{header: []string{"path", "latest record"}}
	for _, p := range paths {
		rows.add(p.Path, p.Latest.Local().Format(moment))
	}
	return rows.plain(t)
}
