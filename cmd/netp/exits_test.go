package main

import (
	"errors"
	"os/exec"
	"regexp"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"
)

// exits runs a command and checks its exit code: exits 99 netp apply DIR. A run that is not to be inconclusive is made
// again when it is: on a busy machine netp may distrust itself.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG]...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := exitCode(ts, args[1:])
	for tries := 1; tries < 5 && want != exitInconclusive && (got == exitInconclusive || got != exitPass && doubted.MatchString(ts.ReadFile("stdout"))); tries++ {
		got = exitCode(ts, args[1:])
	}
	if got != want {
		ts.Fatalf("%v exits %d, want %d", args[1:], got, want)
	}
}

// doubted is what the last line of a run says that has inconclusive sessions.
var doubted = regexp.MustCompile(`, [1-9][0-9]* inconclusive, `)

func exitCode(ts *testscript.TestScript, command []string) int {
	err := ts.Exec(command[0], command[1:]...)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode()
	}
	ts.Check(err)
	return 0
}
