//go:build !linux

package port

import (
	"errors"
	"fmt"
	"runtime"
)

// do calls open; there are no network namespaces here.
func (w Where) do(open func() error) error {
	if w.Netns != "" {
		return fmt.Errorf("network namespace %q: network namespaces exist on Linux only, not on %s: %w", w.Netns, runtime.GOOS, errors.ErrUnsupported)
	}
	return open()
}

func bindToDevice(_ uintptr, device string) error {
	if device != "" {
		return fmt.Errorf("bind to interface %q: supported on Linux only, give the address of the interface instead: %w", device, errors.ErrUnsupported)
	}
	return nil
}
