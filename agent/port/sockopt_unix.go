//go:build unix

package port

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// SetDSCP marks what the socket sends with a DSCP, 0 to 63. The network is the one that Control functions are given: its
// last character tells the IP version.
func SetDSCP(fd uintptr, network string, dscp int) error {
	if err := checkDSCP(dscp); err != nil {
		return err
	}
	level, option := unix.IPPROTO_IP, unix.IP_TOS
	if strings.HasSuffix(network, "6") {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_TCLASS
	}
	if err := unix.SetsockoptInt(int(fd), level, option, dscp<<2); err != nil {
		return fmt.Errorf("set dscp %d: %w", dscp, err)
	}
	return nil
}
