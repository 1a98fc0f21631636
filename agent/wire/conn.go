package wire

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/netpupper/netp"
)

// InProcess is a bus in the same process: the embedded server.
type InProcess interface {
	InProcessConn() (net.Conn, error)
}

// Options says which bus to connect to and how.
type Options struct {
	// URL is the bus's address, nats://HOST:PORT; several are separated by commas.
	URL string
	// InProcess, if set, is used instead of URL.
	InProcess InProcess
	// Name is what the bus shows for the connection.
	Name string
	// TLS is the configuration beyond loopback, used before the first byte; nil for none.
	TLS *tls.Config
	// Agent, if set, keeps the connection to the agent's own subjects: answers to its
	// requests arrive there, too. A bus that knows agents by certificate demands it.
	Agent netp.AgentID
	// Denied, if set, is called each time the bus refuses the connection; it must not block.
	Denied func()
	// Logger gets losses and returns of the connection; nil logs nothing.
	Logger *slog.Logger
}

// Conn is a connection to the bus. It comes back by itself when it is lost, with
// a wait that grows a little and is spread; what is published meanwhile is kept
// up to 8 MiB. It may be used concurrently. Whoever made it closes it.
type Conn struct {
	nats *nats.Conn
}

// Connect connects to the bus. With a URL it also succeeds while the bus is down
// and goes on trying; only a wrong URL or a refused TLS configuration is an error.
func Connect(o Options) (*Conn, error) {
	logger := cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	options := []nats.Option{
		nats.Name(o.Name),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(500 * time.Millisecond),
		nats.ReconnectJitter(500*time.Millisecond, time.Second),
		nats.RetryOnFailedConnect(o.InProcess == nil),
		nats.IgnoreAuthErrorAbort(), // a refusal may pass: the old connection of a lost link dies later than the new one comes
		nats.PingInterval(2 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.Timeout(5 * time.Second),
		nats.NoEcho(),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				logger.Warn("connection to the bus lost", "error", err)
			}
		}),
		nats.ReconnectErrHandler(o.notReached(logger)),
		nats.ErrorHandler(func(_ *nats.Conn, s *nats.Subscription, err error) {
			subject := ""
			if s != nil {
				subject = s.Subject
			}
			o.deny(err)
			logger.Warn("bus", "subject", subject, "error", err)
		}),
	}
	if o.InProcess != nil {
		options = append(options, nats.InProcessServer(o.InProcess))
	}
	if o.TLS != nil {
		options = append(options, nats.Secure(o.TLS), nats.TLSHandshakeFirst())
	}
	if o.Agent != "" {
		options = append(options, nats.CustomInboxPrefix(controllerSubject(o.Agent, inboxLeaf)))
	}
	nc, err := nats.Connect(o.URL, options...)
	if err != nil {
		return nil, fmt.Errorf("connect to the bus %s: %w", o.URL, err)
	}
	return &Conn{nats: nc}, nil
}

// deny tells of an error that is the bus's refusal of the connection.
func (o Options) deny(err error) {
	if o.Denied != nil && errors.Is(err, nats.ErrAuthorization) {
		o.Denied()
	}
}

// notReached hears of each try at a connection that did not succeed. Calls do not
// overlap. The same reason again and again is told once.
func (o Options) notReached(logger *slog.Logger) func(*nats.Conn, error) {
	told := ""
	return func(_ *nats.Conn, err error) {
		o.deny(err)
		if err.Error() != told {
			told = err.Error()
			logger.Warn("the bus is not reached; trying on", "error", err)
		}
	}
}

// Close closes the connection at once, without waiting for anything.
func (c *Conn) Close() { c.nats.Close() }

// ErrAbsent is returned for a request that nobody on the bus listens to.
var ErrAbsent = errors.New("nobody answers on the bus")

// requestError names what a request failed by in words of this package.
func requestError(err error) error {
	if errors.Is(err, nats.ErrNoResponders) {
		return ErrAbsent
	}
	return err
}
