package clock

import (
	"errors"
	"fmt"
	"time"

	"github.com/netpupper/netp/quantity"
)

// ErrUnknown is returned by Clock.Read where the system does not tell.
var ErrUnknown = errors.New("clock: this system does not tell the state of its clock")

// State is what the host knows about its own wall clock. The numbers are those of the kernel's clock discipline (RFC 5905
// §11.3), i.e. what the host's time daemon told it: a daemon that is wrong without knowing gives good figures.
type State struct {
	// Synchronised: a time daemon steers the clock and vouches for it.
	Synchronised bool
	// MaxError bounds the error against UTC; it grows by 500 ppm between corrections. 16 s is the kernel's "do not know".
	MaxError time.Duration
	// EstError is the daemon's estimate of the error.
	EstError time.Duration
	// Source is the time daemon that was found on the host: "chrony", "systemd-timesyncd", "ntpd", or "unknown".
	Source string
}

// String is one line for people.
func (s State) String() string {
	if !s.Synchronised {
		return fmt.Sprintf("not synchronised (source %s)", s.Source)
	}
	return fmt.Sprintf("synchronised by %s, error at most %s, estimated %s", s.Source, quantity.Duration(s.MaxError), quantity.Duration(s.EstError))
}

// Read reads the state of the host's clock; ErrUnknown where the system does not tell. Under an injected fault it still
// claims what the kernel claims, as the clock of a host that is wrong without knowing does.
func (c *Clock) Read() (State, error) { return readState() }

// HostID names the kernel that keeps the wall clock: two agents with the same HostID read one clock, whose offset is zero. It
// changes with each boot. The empty string means unknown, and is the same as no other. A clone of a running virtual machine can
// have the HostID of its twin, so ask Estimator.Same too, which looks at the clocks.
func (c *Clock) HostID() string {
	if c.fault.any() {
		return "" // its clock is not the host's
	}
	return hostID()
}
