package host

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// newImage copies the program into sealed memory: no process, not even one of the same
// user, can change it afterwards.
func newImage(from io.ReadSeeker, runDir string) (*image, error) {
	fd, err := unix.MemfdCreate("netp-sink", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate("netp-sink", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil { // forbidden by vm.memfd_noexec or a sandbox
		return privateCopy(from, runDir)
	}
	i := &image{file: os.NewFile(uintptr(fd), "plugin"), path: fmt.Sprintf("/proc/self/fd/%d", fd)}
	var start string
	if i.hash, start, err = copyHashed(i.file, from); err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SEAL|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE)
	}
	if err != nil {
		_ = i.file.Close()
		return nil, err
	}
	if i.inherit = start == "#!"; i.inherit {
		i.path = "/proc/self/fd/3" // where exec.Cmd.ExtraFiles begin
	}
	return i, nil
}
