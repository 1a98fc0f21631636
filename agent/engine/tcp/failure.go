package tcp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/engine"
	"github.com/netpupper/netp/quantity"
)

func failure(kind netp.FailureKind, format string, args ...any) *netp.Failure {
	return &netp.Failure{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}

// differentOrders is the failure of two ends that were told different things.
func differentOrders(detail string) error {
	return failure(netp.FailureRefused, "The two agents have different orders for the session: %s. Are both of the same version?", detail)
}

// failureOf turns an error of the set-up or of the transfer into the failure of the session. A peer that was silent before it closed a
// connection has most likely given up in an outage, in which its word that it did is lost.
func failureOf(ctx context.Context, err error, silence time.Duration) *netp.Failure {
	var known *netp.Failure
	unreached := engine.Unreached(err)
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return failure(netp.FailureTimeout, "The session did not end within the time of its orders. The figures are of what was transferred until then.")
	case ctx.Err() != nil:
		return failure(netp.FailureCancelled, "The session was stopped. The figures are of what was transferred until then.")
	case unreached != nil:
		return unreached
	case errors.Is(err, context.DeadlineExceeded):
		return failure(netp.FailureTimeout, "The connections of the session did not stand in time: %v.", err)
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return failure(netp.FailurePermission, "The host does not allow it: %v.", err)
	case errors.Is(err, errors.ErrUnsupported):
		return failure(netp.FailureUnsupported, "This agent cannot do it: %v.", err)
	case closed(err) && silence > holdAfter:
		return failure(netp.FailureInterrupted, "Nothing was heard from the peer for %s, then it had closed a connection of the session: the path between the agents was down for so long that the peer gave up, or the agent there died.", quantity.Duration(silence))
	case closed(err):
		return failure(netp.FailureInterrupted, "The peer closed a connection of the session before its end (%v): was the agent there stopped or killed, or does a firewall on the way cut connections?", err)
	case errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.ENETDOWN):
		return failure(netp.FailureInterrupted, "The path to the peer died during the session: %v.", err)
	}
	return failure(netp.FailureInternal, "The session ended with an error that netp does not expect: %v.", err)
}

// closed reports whether the peer, or something in its name, ended the connection.
func closed(err error) bool {
	for _, end := range []error{syscall.ECONNRESET, syscall.EPIPE, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}
