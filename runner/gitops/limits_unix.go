//go:build unix

package gitops

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// limitScript sets the limits and becomes the program. Files count in blocks of
// 512 bytes, memory in KiB; macOS knows no limit on memory. With XFSZ ignored a file
// over its limit is an error the program can name.
const limitScript = `trap '' XFSZ
ulimit -f "$1" && ulimit -t "$2" && ulimit -c 0 || exit 125
ulimit -v "$3" 2>/dev/null
shift 3
exec "$@"`

// limited makes a command under resource limits, in a process group of its own
// that dies as one when ctx ends.
func limited(ctx context.Context, l limits, program string, args, env []string) *exec.Cmd {
	seconds := max(1, int64(l.cpu/time.Second))
	sh := append([]string{"-c", limitScript, "sh", strconv.FormatInt(l.fileBytes/512, 10),
		strconv.FormatInt(seconds, 10), strconv.FormatInt(l.memoryBytes>>10, 10), program}, args...)
	cmd := exec.CommandContext(ctx, "/bin/sh", sh...)
	cmd.Env = env
	cmd.Dir = "/"
	ownGroup(cmd)
	return cmd
}

// ownGroup gives a command its own process group and has cancelling kill it.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		if cmd.Process == nil {
			return os.ErrProcessDone
		}
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	cmd.WaitDelay = 2 * time.Second
}
