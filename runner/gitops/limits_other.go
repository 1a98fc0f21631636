//go:build !unix

package gitops

import (
	"context"
	"os/exec"
	"time"
)

// limited makes a command that dies when ctx ends. This system offers no limits
// that need no privileges; budgets on what is read hold all the same.
func limited(ctx context.Context, _ limits, program string, args, env []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = env
	ownGroup(cmd)
	return cmd
}

func ownGroup(cmd *exec.Cmd) { cmd.WaitDelay = 2 * time.Second }
