package port

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// netnsDirectory is where `ip netns` keeps the names of network namespaces.
const netnsDirectory = "/run/netns"

// do calls open in the network namespace of w. The sockets it opens stay there; goroutines it starts would not.
func (w Where) do(open func() error) error {
	if w.Netns == "" {
		return open()
	}
	done := make(chan error)
	go func() { done <- w.enter(open) }() // its own goroutine: a thread that cannot come back ends with it
	return <-done
}

// enter moves the thread to the namespace for the time of the call.
func (w Where) enter(open func() error) error {
	target, err := openNetns(w.Netns)
	if err != nil {
		return err
	}
	defer unix.Close(target)
	runtime.LockOSThread()
	home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("open the current network namespace: %w", err)
	}
	defer unix.Close(home)
	if err := unix.Setns(target, unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return explainNetns(w.Netns, err)
	}
	err = open()
	if unix.Setns(home, unix.CLONE_NEWNET) == nil {
		runtime.UnlockOSThread() // else the thread stays locked and ends with this goroutine
	}
	return err
}

func openNetns(name string) (int, error) {
	path := name
	if !strings.Contains(name, "/") {
		path = filepath.Join(netnsDirectory, name)
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, explainNetns(name, err)
	}
	return fd, nil
}

func explainNetns(name string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("network namespace %q does not exist: `ip netns list` shows those there are, `ip netns add %s` makes it: %w", name, name, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("network namespace %q needs root (CAP_SYS_ADMIN): run the agent as root, or start it inside the namespace: %w", name, err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("network namespace %q: the file is not a network namespace: %w", name, err)
	}
	return fmt.Errorf("network namespace %q: %w", name, err)
}

func bindToDevice(fd uintptr, device string) error {
	if device == "" {
		return nil
	}
	err := unix.SetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE, device)
	switch {
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("interface %q does not exist (in this network namespace): `ip link` shows those there are: %w", device, err)
	case err != nil:
		return fmt.Errorf("bind to interface %q: %w", device, err)
	}
	return nil
}
