//go:build linux

package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/netpupper/netp/testsuites/lab/emulator"
)

// insideName is the first argument of a program executed again in namespaces of its own: it keeps the program from trying twice.
const insideName = "netp-lab-inside"

// Main is how the main function of a program that makes labs begins:
//
//	func TestMain(m *testing.M) { os.Exit(lab.Main(m.Run)) }
//
// It is the emulator, when the program was executed as such; else it calls run. A user who may not make networks but may make
// user namespaces gets run in one, as its root, by executing the program again.
func Main(run func() int) int {
	// Other goroutines' threads may enter namespaces and end there. The main thread cannot end, so nothing else runs on it.
	runtime.LockOSThread()
	if code, was := BeEmulator(); was {
		return code
	}
	if os.Args[0] == insideName || Privileged() {
		return run()
	}
	code, err := Inside()
	if err != nil {
		return run() // New says what is missing
	}
	return code
}

// BeEmulator is the emulator's whole life, if this process was executed as such.
func BeEmulator() (code int, was bool) {
	if os.Args[0] != emulator.Name {
		return 0, false
	}
	if err := emulator.Process(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1, true
	}
	return 0, true
}

// Inside executes the program again as the root of a user namespace, with network and mount namespaces of its own, and gives its
// exit code. An error says that the system does not allow it.
func Inside() (int, error) {
	runtime.LockOSThread() // Pdeathsig is about this thread
	c := &exec.Cmd{
		Path: "/proc/self/exe", Args: append([]string{insideName}, os.Args[1:]...), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
			Pdeathsig:   syscall.SIGKILL,
		},
	}
	if err := c.Start(); err != nil {
		return 0, fmt.Errorf("make a user namespace: %w", errors.Join(err, ErrPrivilege))
	}
	var exit *exec.ExitError
	if err := c.Wait(); errors.As(err, &exit) {
		return exit.ExitCode(), nil
	} else if err != nil {
		return 0, err
	}
	return 0, nil
}

// IsInside says whether Inside executed this program.
func IsInside() bool { return os.Args[0] == insideName }

// OwnRun gives a program that is inside a directory /run of its own, for the names of namespaces.
func OwnRun() error {
	return errors.Join(
		unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""),
		unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"),
	)
}
