package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestVerdictLineOfALostReport: what the run's last line says is what the command exits with.
func TestVerdictLineOfALostReport(t *testing.T) {
	suite, dir := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(suite, "main.hcl"), []byte(twoLengths), 0o600); err != nil {
		t.Fatal(err)
	}
	socket, err := net.Listen("unix", filepath.Join(dir, "s")) // cannot be opened, which nobody knows before
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	var stdout, stderr strings.Builder
	code := newApp(environment{
		args: []string{"apply", "-target=test.short", "-junit-xml=" + filepath.Join(dir, "s"), suite}, stdin: strings.NewReader(""),
		stdout: &stdout, stderr: &stderr, lookup: os.LookupEnv, environ: os.Environ(), now: time.Now,
	}).execute(t.Context())
	if code != exitError || !strings.Contains(stdout.String(), "\nPASS  exit 1: ") || !strings.HasPrefix(stderr.String(), "Error: write "+dir) {
		t.Errorf("exit %d\n%s\n%s", code, stdout.String(), stderr.String())
	}
}
