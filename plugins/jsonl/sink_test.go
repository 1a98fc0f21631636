package main

import (
	"bufio"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plugins/sdk"
	"github.com/netpupper/netp/plugins/sdk/sinktest"
)

func readAll(t *testing.T, path string) (out []netp.Record) {
	t.Helper()
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	in.Buffer(nil, 16<<20)
	for in.Scan() {
		var r netp.Record
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			t.Fatalf("%s: line %d: %v", path, len(out)+1, err)
		}
		out = append(out, r)
	}
	return out
}

func ids(records []netp.Record) (out []string) {
	for _, r := range records {
		out = append(out, r.ID)
	}
	return out
}

func receiver(t *testing.T, arguments map[string]any) (sinktest.Receiver, string) {
	dir := t.TempDir()
	path := filepath.Join(dir, "deep", "records.jsonl")
	all := map[string]any{"path": "deep/records.jsonl"}
	maps.Copy(all, arguments)
	return sinktest.Receiver{Arguments: all, Directory: dir, IDs: func(t *testing.T) []string { return ids(readAll(t, path)) }}, path
}

func conformance() sinktest.Case {
	return sinktest.Case{
		New:      newSink,
		Receiver: func(t *testing.T) sinktest.Receiver { r, _ := receiver(t, nil); return r },
		Wrong: []sinktest.Wrong{
			{Name: "no file", Arguments: map[string]any{"path": ".."}, Attribute: "path"},
			{Name: "outside", Arguments: map[string]any{"path": "../x"}, Attribute: "path"},
			{Name: "tiny rotation", Arguments: map[string]any{"path": "x", "rotate_bytes": 5}, Attribute: "rotate_bytes"},
			{Name: "half a file", Arguments: map[string]any{"path": "x", "keep": 1.5}, Attribute: "keep"},
		},
	}
}

func TestConformance(t *testing.T) { sinktest.Run(t, conformance()) }

func TestRecordsSurviveUnchanged(t *testing.T) {
	r, path := receiver(t, nil)
	if err := sinktest.Open(t, conformance(), r).Write(t.Context(), sinktest.Records(6)); err != nil {
		t.Fatal(err)
	}
	want, _ := json.Marshal(sinktest.Records(6))
	got, _ := json.Marshal(readAll(t, path))
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("records changed (-want +got):\n%s", diff)
	}
}

func TestHalfWrittenLineIsRepaired(t *testing.T) {
	r, path := receiver(t, nil)
	all := sinktest.Records(4)
	if err := sinktest.Open(t, conformance(), r).Write(t.Context(), all[:2]); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	line, _ := json.Marshal(all[2])
	for _, cut := range []int{1, len(line) / 2, len(line)} { // also a whole line without its end
		copied, copyPath := receiver(t, nil)
		if err := os.MkdirAll(filepath.Dir(copyPath), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(copyPath, append(append([]byte{}, whole...), line[:cut]...), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := sinktest.Open(t, conformance(), copied).Write(t.Context(), all); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(ids(all), ids(readAll(t, copyPath))); diff != "" {
			t.Errorf("cut at %d (-want +got):\n%s", cut, diff)
		}
	}
}

func TestForeignFileIsLeftAlone(t *testing.T) {
	r, path := receiver(t, nil)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	const text = "root:x:0:0\nno newline"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	err := sinktest.Open(t, conformance(), r).Write(t.Context(), sinktest.Records(1))
	if got, _ := os.ReadFile(path); err == nil || string(got) != text {
		t.Errorf("Write = %v, the file is now %q", err, got)
	}
}

func TestRotation(t *testing.T) {
	line, _ := json.Marshal(sinktest.Records(1)[0])
	r, path := receiver(t, map[string]any{"rotate_bytes": 5 * len(line) / 2, "keep": 3})
	all := sinktest.Records(9)
	for i := range all {
		sink := sinktest.Open(t, conformance(), r)
		for range 2 { // again, also right after a rotation and by a new process
			if err := sink.Write(t.Context(), all[max(0, i-1):i+1]); err != nil {
				t.Fatal(err)
			}
		}
		if err := sink.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, suffix := range []string{".3", ".2", ".1", ""} {
		got = append(got, ids(readAll(t, path+suffix))...)
	}
	want := ids(all)
	if len(got) < 6 || !cmp.Equal(want[len(want)-len(got):], got) {
		t.Errorf("the files hold %v, want the last of %v, each once", got, want)
	}
	if _, err := os.Stat(path + ".4"); err == nil {
		t.Error("a fourth renamed file is kept")
	}
}

func TestRenamedByOthers(t *testing.T) {
	r, path := receiver(t, nil)
	sink := sinktest.Open(t, conformance(), r)
	all := sinktest.Records(2)
	if err := sink.Write(t.Context(), all[:1]); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Skipf("needs to rename an open file: %v", err)
	}
	if err := sink.Write(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ids(all), append(ids(readAll(t, path+".1")), ids(readAll(t, path))...)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func TestOneWriterPerFile(t *testing.T) {
	r, _ := receiver(t, nil)
	first, second := sinktest.Open(t, conformance(), r), sinktest.Open(t, conformance(), r)
	if err := first.Write(t.Context(), sinktest.Records(1)); err != nil {
		t.Fatal(err)
	}
	if err := second.Write(t.Context(), sinktest.Records(1)); err == nil || !strings.Contains(err.Error(), "another sink") {
		t.Errorf("the second writer of a file got %v", err)
	}
}

func TestConfined(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Skipf("needs symbolic links: %v", err)
	}
	write := func(path string) error {
		s := new(sink)
		config, faults := sdk.NewConfig(s.Schema(), []byte(`{"path":"`+filepath.ToSlash(path)+`"}`), nil)
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		config.Directory, config.Confined = dir, true
		if err := s.Configure(t.Context(), config); err != nil {
			return err
		}
		defer s.Close()
		return s.Write(t.Context(), sinktest.Records(1))
	}
	for _, path := range []string{filepath.Join(outside, "x"), "../x", "link/x"} {
		if err := write(path); err == nil {
			t.Errorf("a confined sink wrote to %s", path)
		}
	}
	if err := write("inside"); err != nil {
		t.Errorf("a confined sink could not write below its directory: %v", err)
	}
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("written outside: %v", left)
	}
}
