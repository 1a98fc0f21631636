package main

import (
	"flag"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite the expected output in the scripts")

// TestMain lets the scripts run netp as a process of its own: this test binary.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"netp": func() { os.Exit(run()) },
		"netp-lab-emulator": func() {
			code, _ := beEmulator()
			os.Exit(code)
		},
	})
}

// TestScripts runs testdata/script: each file is a story of commands and what
// they print and exit with.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", UpdateScripts: *update, RequireUniqueNames: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}
