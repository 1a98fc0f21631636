package gitops

import (
	"os"
	"strings"
	"testing"
)

// TestMain lets the test binary be the child that Compile starts.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == CompileArgument {
		if v := os.Environ(); len(v) > 1 {
			os.Stderr.WriteString("the child inherits " + strings.Join(v, " "))
			os.Exit(9)
		}
		os.Exit(CompileMain(nil, os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}
