//go:build linux

// Package labtest gives tests a network lab.
package labtest

import (
	"errors"
	"os"
	"testing"

	"github.com/netpupper/netp/testsuites/lab"
)

// Required is the environment variable that turns the skip of a test into a failure, so that a CI does not lose it in silence.
const Required = "NETP_REQUIRE_LAB"

// New makes a lab that ends with the test. Where none can be made the test is skipped. The package's TestMain has to be
// os.Exit(lab.Main(m.Run)).
func New(t testing.TB) *lab.Lab {
	t.Helper()
	l, err := lab.New(lab.Options{})
	if errors.Is(err, lab.ErrPrivilege) && os.Getenv(Required) == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}
