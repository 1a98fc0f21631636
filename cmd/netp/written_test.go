package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// brokenOutput takes nothing.
type brokenOutput struct{ err error }

func (b brokenOutput) Write([]byte) (int, error) {
	return 0, &fs.PathError{Op: "write", Path: "stdout", Err: b.err}
}

// TestOutputThatIsLost: every command says so and exits 1, and none minds a reader that has gone.
func TestOutputThatIsLost(t *testing.T) {
	suite := t.TempDir()
	if err := os.WriteFile(filepath.Join(suite, "main.hcl"), []byte(twoLengths), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(lost error, args ...string) (int, string) {
		var stderr strings.Builder
		code := newApp(environment{
			args: args, stdin: strings.NewReader("a = 1\n"), stdout: brokenOutput{lost}, stderr: &stderr, lookup: os.LookupEnv, environ: os.Environ(), now: time.Now,
		}).execute(t.Context())
		return code, stderr.String()
	}
	for _, command := range []string{
		"apply -json -target=test.short %", "apply -target=test.short %", "plan %", "plan -json %", "validate %", "validate -json %", "graph %",
		`explain -dir=% test.short["a->b"]`, "show -dir=%", "show -json -dir=%", "runs %", "history -dir=%",
		"doctor", "version", "version -json", "-help", "fmt -",
	} {
		args := strings.Fields(strings.ReplaceAll(command, "%", suite))
		t.Run(command, func(t *testing.T) {
			if code, stderr := run(syscall.ENOSPC, args...); code != exitError || !strings.HasPrefix(stderr, "Error: cannot write to standard output: "+syscall.ENOSPC.Error()+"\n") {
				t.Errorf("a full disk: exit %d\n%s", code, stderr)
			}
			if code, stderr := run(syscall.EPIPE, args...); code != exitPass || strings.Contains(stderr, "standard output") {
				t.Errorf("no reader: exit %d\n%s", code, stderr)
			}
		})
	}
}
