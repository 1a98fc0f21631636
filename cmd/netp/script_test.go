package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite the expected output in the scripts")

// TestMain lets the scripts run netp as a process of its own: this test binary.
func TestMain(m *testing.M) {
	commands := map[string]func(){
		"netp": func() { os.Exit(run()) },
		"netp-lab-emulator": func() {
			code, _ := beEmulator()
			os.Exit(code)
		},
	}
	if commands[filepath.Base(os.Args[0])] == nil { // what the caller's own netp is told is not for those of the tests
		for _, entry := range os.Environ() {
			if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "NETP_") && name != "NETP_REQUIRE_LAB" {
				os.Unsetenv(name)
			}
		}
	}
	testscript.Main(m, commands)
}

// TestScripts runs testdata/script: each file is a story of commands and what
// they print and exit with.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", UpdateScripts: *update, RequireUniqueNames: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}
