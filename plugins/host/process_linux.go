package host

import (
	"errors"
	"fmt"
	"math"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// isolate puts the plugin into a process group of its own and lets the kernel kill it
// when the thread that started it ends, which is when this process does.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// restrictThread keeps what this thread starts from gaining privileges by set-user-id
// programs or file capabilities, and from inheriting descriptors that somebody left
// open for it: Go opens none such, but what started this process may have.
func restrictThread() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	if err != nil && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EINVAL) { // before Linux 5.11
		return fmt.Errorf("close descriptors on exec: %w", err)
	}
	return nil
}

// limit bounds what a started plugin may use; it is a guard against accidents, so one
// that cannot be set is no reason not to run.
func limit(pid int) {
	for resource, bound := range map[int]uint64{
		unix.RLIMIT_CORE:   0, // a dump would hold secrets
		unix.RLIMIT_NOFILE: 1024,
		unix.RLIMIT_DATA:   2 << 30,
	} {
		var now unix.Rlimit
		if unix.Prlimit(pid, resource, nil, &now) == nil && now.Max > bound {
			_ = unix.Prlimit(pid, resource, &unix.Rlimit{Cur: min(now.Cur, bound), Max: bound}, nil)
		}
	}
}

// reap waits for the program to end, and kills what is left of its group while it is
// still a zombie and its number cannot be used again.
func (p *process) reap() error {
	for errors.Is(unix.Waitid(unix.P_PID, p.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
	p.gone()
	return p.cmd.Wait()
}

func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }
