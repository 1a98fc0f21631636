//go:build unix

package host

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
)

// TestBundled builds the bundled plugins, checks that each starts, describes itself
// and locks, and delivers to the two that need no server.
func TestBundled(t *testing.T) {
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("needs the go command")
	}
	dir := t.TempDir()
	kinds := []string{"influxdb", "jsonl", "postgres", "webhook"}
	for _, kind := range kinds {
		out, err := exec.Command(tool, "build", "-o", filepath.Join(dir, fileName(kind)), "../"+kind).CombinedOutput()
		if err != nil {
			t.Fatalf("build %s: %v\n%s", kind, err, out)
		}
	}
	records := t.TempDir()
	h := newHost(t, func(o *Options) { o.Dirs = []string{dir}; o.Directory = records; o.Confined = true })
	if got := h.Types(); !slices.Equal(got, kinds) {
		t.Errorf("Types() = %v, want %v", got, kinds)
	}
	lock, err := h.Lock(t.Context(), kinds)
	if err != nil || len(lock) != len(kinds) {
		t.Fatalf("Lock = %+v, %v", lock, err)
	}
	var batches atomic.Int32
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { batches.Add(1) }))
	defer hook.Close()
	sinks := []Sink{
		{Name: "sink.jsonl.archive", Type: "jsonl", Arguments: []byte(`{"path":"out/records.jsonl"}`)},
		{Name: "sink.webhook.chat", Type: "webhook", Arguments: []byte(`{}`), Secrets: map[string]string{"url": hook.URL}},
	}
	for _, s := range sinks {
		if faults := h.Check(t.Context(), s); len(faults) > 0 {
			t.Errorf("Check(%s) = %+v", s.Name, faults)
		}
	}
	outside := Sink{Name: "sink.jsonl.x", Type: "jsonl", Arguments: []byte(`{"path":"/etc/records"}`)}
	if faults := h.Check(t.Context(), outside); len(faults) != 1 || faults[0].Attribute != "path" {
		t.Errorf("Check of a confined sink with an absolute path = %+v", faults)
	}
	source := newMemory(25)
	for _, s := range h.Drain(t.Context(), source, sinks) {
		if s.Delivered != 25 || s.Pending != 0 || s.Version != "0.1.0" {
			t.Errorf("%s: %+v", s.Sink, s)
		}
	}
	text, err := os.ReadFile(filepath.Join(records, "out", "records.jsonl"))
	if got := bytes.Count(text, []byte("\n")); err != nil || got != 25 {
		t.Errorf("the file has %d lines (%v), want 25", got, err)
	}
	if batches.Load() == 0 {
		t.Error("the webhook was never called")
	}
}
