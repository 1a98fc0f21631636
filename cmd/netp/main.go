// Command netp plans and runs declarative network tests: it reads suites of HCL,
// sends real traffic between agents, judges the results and exits with the
// verdict. This package wires the others together; it alone prints, reads the
// environment and exits. One file per command; start with root.go, then apply.go.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	_ "time/tzdata" // cron means time zones, also on hosts that have none installed

	"github.com/netpupper/netp/agent"
	"github.com/netpupper/netp/runner/gitops"
)

// version is set by the linker for releases.
var version = "0.1.0-dev"

func main() {
	if code, was := beEmulator(); was {
		os.Exit(code)
	}
	growth(400) // short-lived commands over large suites spend their time in the collector
	os.Exit(run())
}

// growth sets by how many percent the heap grows between two collections; GOGC and
// GOMEMLIMIT still have the last word.
func growth(percent int) {
	if _, set := os.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(percent)
	}
}

func run() int {
	if len(os.Args) == 2 && os.Args[1] == gitops.CompileArgument { // the controller's child for one suite of others
		return gitops.CompileMain(agent.Catalogue(), os.Stdin, os.Stdout)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	// Who reads the output may go: to write gives an error then (see written) instead of an end in the middle of a run. A signal that is
	// ignored would be so for other programs that this one starts, too; nobody looks at this one.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	return newApp(processEnvironment()).execute(ctx)
}
