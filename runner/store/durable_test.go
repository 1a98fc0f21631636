package store_test

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/runner/store/storetest"
)

// childFile tells a re-executed test binary which database to write to.
const childFile = "NETP_STORE_TEST_FILE"

// TestChildWrites is the process that TestKilledProcessLosesNothing kills: it says
// the number of each record after it is written.
func TestChildWrites(t *testing.T) {
	file := os.Getenv(childFile)
	if file == "" {
		return
	}
	s := storetest.Database{Where: file}.Open(t)
	before, err := s.RecordsAfter(t.Context(), 0, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(before); ; i++ {
		r := netp.Record{Run: "r", Session: netp.Session{Addr: fmt.Sprint(i)}}
		if err := s.SaveParts(t.Context(), []netp.Result{{Run: "r", Session: fmt.Sprint(i), Attempt: 1, Part: netp.Initiator}}); err != nil {
			t.Fatal(err)
		}
		if err := s.SaveRecords(t.Context(), []netp.Record{r}); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("wrote %d\n", i)
	}
}

func TestKilledProcessLosesNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "netp.db")
	for round := range 5 {
		last := writeAndKill(t, file, 3+4*round)
		s := open(t, file)
		told, err := s.RecordsAfter(t.Context(), 0, 1_000_000)
		if err != nil || len(told) <= last {
			t.Fatalf("%d records, %v; record %d was written before the kill", len(told), err, last)
		}
		for i, n := range told {
			if n.Position != uint64(i+1) || n.Record.Session.Addr != fmt.Sprint(i) {
				t.Fatalf("position %d is record %s; want %d and %d", n.Position, n.Record.Session.Addr, i+1, i)
			}
		}
		s.Close()
	}
}

// writeAndKill lets a child write until it has said so a number of times, and gives
// the last record it said.
func writeAndKill(t *testing.T, file string, times int) (last int) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestChildWrites$")
	child.Env = append(os.Environ(), childFile+"="+file)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	seen := 0
	for lines.Scan() {
		if _, err := fmt.Sscanf(lines.Text(), "wrote %d", &last); err != nil {
			t.Errorf("the child says %q", lines.Text())
		}
		if seen++; seen == times {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := child.Wait(); err == nil || seen < times {
		t.Fatalf("the child ended by itself after %d records", seen)
	}
	return last
}

// TestOlderSchemaIsBroughtUpToDate opens a database as the second version wrote it:
// a run of two records that ended and one of one record that did not, a sink that
// has two records, an applied suite.
func TestOlderSchemaIsBroughtUpToDate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "netp.db")
	unzip(t, filepath.Join("testdata", "version2.db.gz"), file)
	s := open(t, file)
	if state, err := s.State(t.Context(), "s"); err != nil || state.Lineage != "l" {
		t.Errorf("state %+v, %v", state, err)
	}
	if u, err := s.Unfinished(t.Context()); err != nil || len(u) != 0 {
		t.Errorf("a run without a plan can be finished: %+v, %v", u, err)
	}
	r := netp.Record{Run: "cccc", Session: netp.Session{Addr: "a"}}
	if err := s.SaveRecords(t.Context(), []netp.Record{r}); err != nil {
		t.Fatal(err)
	}
	var told []string
	list, err := s.RecordsAfter(t.Context(), 0, 10)
	for _, n := range list {
		told = append(told, fmt.Sprintf("%d %s/%s", n.Position, n.Record.Run, n.Record.Session.Addr))
	}
	if got, want := strings.Join(told, ", "), "1 aaaa/a, 2 aaaa/b, 3 bbbb/a, 4 cccc/a"; err != nil || got != want {
		t.Errorf("the feed is %s, %v; want %s", got, err, want)
	}
	later := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	if n, err := s.Prune(t.Context(), later); n != 1 || err != nil { // bbbb is not with the sink yet
		t.Errorf("pruned %d runs, %v; want 1", n, err)
	}
	if _, err := s.FindRun(t.Context(), "bbbb"); err != nil {
		t.Error(err)
	}
}

func unzip(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	z, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, z); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}
