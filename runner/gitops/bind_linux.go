package gitops

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// bindSelf limits this process: address space beyond what it has now, seconds of
// processor, no files written, no core dump.
func bindSelf(memory, seconds int64) error {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(text), " ")
	pages, err := strconv.ParseUint(first, 10, 64)
	if err != nil {
		return err
	}
	space := pages*uint64(os.Getpagesize()) + uint64(memory)
	for _, l := range []struct {
		resource int
		value    uint64
	}{
		{unix.RLIMIT_AS, space}, {unix.RLIMIT_CPU, uint64(seconds)}, {unix.RLIMIT_FSIZE, 0}, {unix.RLIMIT_CORE, 0}, {unix.RLIMIT_NOFILE, 64},
	} {
		if err := unix.Setrlimit(l.resource, &unix.Rlimit{Cur: l.value, Max: l.value}); err != nil {
			return fmt.Errorf("limit a process: %w", err)
		}
	}
	return nil
}
