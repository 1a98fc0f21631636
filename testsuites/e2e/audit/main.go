// Command audit looks at what a controller has kept and handed on, and says what
// is lost, doubled or different. It shares no code with netp on purpose: it reads
// the database with the sqlite3 program, the JSON lines as text, and InfluxDB over
// HTTP.
//
//	go run ./testsuites/e2e/audit -db DATA/netp.db [-jsonl FILE] [-influx URL -database NAME]
//
// It must be run when nothing runs any more. It exits with 1 when there is a fault.
package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"sort"
	"strings"
)

func main() {
	db := flag.String("db", "", "the controller's SQLite `file`")
	jsonl := flag.String("jsonl", "", "`file` of a jsonl sink that takes every record")
	influx := flag.String("influx", "", "`URL` of an InfluxDB 1.x whose sink takes every record")
	database := flag.String("database", "netp", "its database")
	flag.Parse()
	a := &audit{records: map[string]record{}}
	err := a.store(*db)
	if err == nil && *jsonl != "" {
		err = a.lines(*jsonl)
	}
	if err == nil && *influx != "" {
		err = a.points(*influx, *database)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "audit:", err)
		os.Exit(1)
	}
	a.summary()
	if len(a.faults) > 0 {
		os.Exit(1)
	}
}

// record is what is compared of one.
type record struct {
	ID       string `json:"id"`
	Run      string `json:"run"`
	Status   string `json:"status"`
	Attempts int    `json:"attempts"`
	// Scheduled and Ended are RFC 3339, as they stand there.
	Scheduled string `json:"scheduled"`
	Session   struct {
		Addr string `json:"addr"`
	} `json:"session"`
	Result struct {
		Ended     string           `json:"ended"`
		Completed bool             `json:"completed"`
		Failure   *json.RawMessage `json:"failure"`
		Metrics   map[string]any   `json:"metrics"`
	} `json:"result"`
}

// run is what is compared of one.
type run struct {
	Report struct {
		Run    string `json:"run"`
		Ended  string `json:"ended"`
		Status string `json:"status"`
		Counts struct {
			Passed, Failed, Inconclusive, Errored, Skipped int
		} `json:"counts"`
	} `json:"report"`
	Sessions int `json:"sessions"`
	Slot     *struct{ Suite, Test, Start string }
}

type audit struct {
	records map[string]record // by id
	runs    int
	parts   int
	faults  []string
	notes   []string
}

func (a *audit) fault(format string, args ...any) {
	a.faults = append(a.faults, fmt.Sprintf(format, args...))
}

func (a *audit) summary() {
	status := map[string]int{}
	for _, r := range a.records {
		status[r.Status]++
	}
	fmt.Printf("store: %d runs, %d records %v, %d parts\n", a.runs, len(a.records), status, a.parts)
	for _, n := range a.notes {
		fmt.Println(n)
	}
	sort.Strings(a.faults)
	for _, f := range a.faults {
		fmt.Println("FAULT", f)
	}
	fmt.Printf("%d faults\n", len(a.faults))
}

// store reads the database: every run has ended, and has one record for each of
// its sessions; no turn of a standing test was run twice.
func (a *audit) store(db string) error {
	perRun := map[string]int{}
	err := rows(db, `SELECT run, session, hex(body) FROM records`, func(c []string) error {
		var r record
		if err := body(c[2], &r); err != nil {
			return fmt.Errorf("record %s %s: %w", c[0], c[1], err)
		}
		if r.Run != c[0] || r.Session.Addr != c[1] || r.ID != c[0]+"/"+c[1] {
			a.fault("the record under %s %s says %s %s, id %s", c[0], c[1], r.Run, r.Session.Addr, r.ID)
		}
		if r.Status == "pass" && (!r.Result.Completed || r.Result.Failure != nil || len(r.Result.Metrics) == 0) {
			a.fault("%s passed without a complete measurement", r.ID)
		}
		a.records[r.ID] = r
		perRun[r.Run]++
		return nil
	})
	if err != nil {
		return err
	}
	slots := map[string]string{}
	err = rows(db, `SELECT id, hex(body) FROM runs`, func(c []string) error {
		a.runs++
		var r run
		if err := body(c[1], &r); err != nil {
			return fmt.Errorf("run %s: %w", c[0], err)
		}
		counted := r.Report.Counts.Passed + r.Report.Counts.Failed + r.Report.Counts.Inconclusive + r.Report.Counts.Errored + r.Report.Counts.Skipped
		switch {
		case r.Report.Ended == "" || strings.HasPrefix(r.Report.Ended, "0001-"):
			a.fault("run %s has not ended", c[0])
		case perRun[c[0]] != r.Sessions || counted != r.Sessions:
			a.fault("run %s planned %d sessions, has %d records and counts %d", c[0], r.Sessions, perRun[c[0]], counted)
		}
		if r.Slot != nil {
			key := r.Slot.Suite + " " + r.Slot.Test + " " + r.Slot.Start
			if other, ok := slots[key]; ok {
				a.fault("the turn %s was run by %s and by %s", key, other, c[0])
			}
			slots[key] = c[0]
		}
		delete(perRun, c[0])
		return nil
	})
	for id, n := range perRun {
		a.fault("%d records of run %s, which is not there", n, id)
	}
	a.notes = append(a.notes, fmt.Sprintf("turns of standing tests: %d, each once", len(slots)))
	if err != nil {
		return err
	}
	return rows(db, `SELECT count(*), count(DISTINCT run || ' ' || session || ' ' || attempt || ' ' || part) FROM parts`, func(c []string) error {
		fmt.Sscan(c[0], &a.parts)
		if c[0] != c[1] {
			a.fault("%s parts, %s of them different", c[0], c[1])
		}
		return nil
	})
}

// rows asks the database by the sqlite3 program.
func rows(db, query string, row func(columns []string) error) error {
	cmd := exec.Command("sqlite3", "-batch", "-separator", "\x1f", db, query)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("sqlite3 %s: %w: %s", db, err, complaint.String())
	}
	for line := range strings.Lines(string(out)) {
		if err := row(strings.Split(strings.TrimSuffix(line, "\n"), "\x1f")); err != nil {
			return err
		}
	}
	return nil
}

// body unpacks what the store keeps: compressed JSON.
func body(packed string, value any) error {
	data, err := hex.DecodeString(packed)
	if err != nil {
		return err
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return err
	}
	return json.NewDecoder(z).Decode(value)
}

// lines compares the file of a jsonl sink.
func (a *audit) lines(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	seen := map[string]int{}
	in := bufio.NewReader(f)
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			if len(line) > 0 {
				a.fault("%s ends in a line that was not finished", file)
			}
			break
		}
		if err != nil {
			return err
		}
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			a.fault("%s: a line is no record: %v", file, err)
			continue
		}
		if seen[r.ID]++; seen[r.ID] > 1 {
			a.fault("%s has %s %d times", file, r.ID, seen[r.ID])
		}
		if there, ok := a.records[r.ID]; ok && (there.Status != r.Status || there.Attempts != r.Attempts) {
			a.fault("%s says %s of %s, the store %s", file, r.Status, r.ID, there.Status)
		}
	}
	a.compare(file, seen)
	return nil
}

// points compares an InfluxDB. A point that comes again replaces itself, so that
// only what is missing or strange can be found.
func (a *audit) points(base, database string) error {
	q := url.Values{"db": {database}, "q": {`SELECT "record" FROM netp_session`}}
	answer, err := http.Get(base + "/query?" + q.Encode())
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var found struct {
		Results []struct {
			Error  string
			Series []struct{ Values [][]any }
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&found); err != nil {
		return fmt.Errorf("InfluxDB: %w", err)
	}
	seen := map[string]int{}
	for _, r := range found.Results {
		if r.Error != "" {
			return fmt.Errorf("InfluxDB: %s", r.Error)
		}
		for _, s := range r.Series {
			for _, v := range s.Values {
				id, _ := v[1].(string)
				if seen[id]++; seen[id] > 1 {
					a.fault("InfluxDB has %d points of %s", seen[id], id)
				}
			}
		}
	}
	a.compare("InfluxDB", seen)
	return nil
}

// compare finds what a sink lacks, and what only it has.
func (a *audit) compare(sink string, seen map[string]int) {
	for id, r := range a.records {
		if seen[id] == 0 {
			a.fault("%s lacks %s (%s, scheduled %s, ended %q)", sink, id, r.Status, r.Scheduled, r.Result.Ended)
		}
	}
	for id := range seen {
		if _, ok := a.records[id]; !ok {
			a.fault("%s has %s, which the store does not", sink, id)
		}
	}
	a.notes = append(a.notes, fmt.Sprintf("%s: %d records", sink, len(seen)))
}
