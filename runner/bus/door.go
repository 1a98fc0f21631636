package bus

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Guest is what a connection of another process may do.
type Guest struct {
	// Name is whose connection it is. One connection per name: a second one is
	// refused while the first lives.
	Name string
	// Publish and Subscribe are the only subjects it may use, with wildcards; beside
	// them it may answer, once, each request it is sent.
	Publish, Subscribe string
	// Until ends the connection; the zero time never does.
	Until time.Time
}

// answerTime is how long a guest may take to answer a request.
const answerTime = 10 * time.Second

// door is the server's authentication: connections of this process may do
// everything, others what admit says.
type door struct {
	admit  func(*x509.Certificate) (Guest, error)
	logger *slog.Logger
	server *server.Server // set before it starts

	mu     sync.Mutex            // guards what follows
	inside map[string]uint64     // connection by name
	from   map[string]netip.Addr // where each came from last
	barred map[string]time.Time  // until when, for sending too much
}

func newDoor(admit func(*x509.Certificate) (Guest, error), logger *slog.Logger) *door {
	logger = cmp.Or(logger, slog.New(slog.DiscardHandler))
	return &door{admit: admit, logger: logger, inside: make(map[string]uint64), from: make(map[string]netip.Addr), barred: make(map[string]time.Time)}
}

// Check is the server's question whether a connection may be.
func (d *door) Check(c server.ClientAuthentication) bool {
	if inProcess(c.RemoteAddress()) {
		c.RegisterUser(&server.User{Username: "controller"})
		return true
	}
	guest, err := d.enter(c)
	if err != nil {
		d.logger.Warn("connection to the bus refused", "name", guest.Name, "from", c.RemoteAddress(), "reason", err)
		return false
	}
	c.RegisterUser(&server.User{
		Username: guest.Name,
		Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: []string{guest.Publish}},
			Subscribe: &server.SubjectPermission{Allow: []string{guest.Subscribe}},
			Response:  &server.ResponsePermission{MaxMsgs: 1, Expires: answerTime},
		},
		ConnectionDeadline: guest.Until,
	})
	return true
}

// inProcess tells a pipe from a socket.
func inProcess(a net.Addr) bool { return a != nil && a.Network() == "pipe" }

// enter admits a connection and notes it. The question and the note are one step,
// so that whoever is expelled in between is not forgotten inside.
func (d *door) enter(c server.ClientAuthentication) (Guest, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	state := c.GetTLSConnectionState()
	if c.Kind() != server.CLIENT || state == nil || len(state.VerifiedChains) == 0 {
		return Guest{}, fmt.Errorf("it showed no certificate of this controller")
	}
	guest, err := d.admit(state.PeerCertificates[0])
	if err != nil {
		return guest, err
	}
	if until := d.barred[guest.Name]; time.Now().Before(until) {
		return guest, fmt.Errorf("%s sent too much and may come back at %s", guest.Name, until.UTC().Format(time.RFC3339))
	}
	if id, ok := d.inside[guest.Name]; ok && d.server.GetClient(id) != nil {
		return guest, fmt.Errorf("%s is connected already; if its link broke this passes within seconds, else somebody has a copy of its key", guest.Name)
	}
	d.inside[guest.Name] = c.GetID()
	if at, err := netip.ParseAddrPort(c.RemoteAddress().String()); err == nil {
		d.from[guest.Name] = at.Addr().Unmap()
	}
	return guest, nil
}

// From is the address that the latest connection of a guest came from.
func (s *Server) From(name string) (netip.Addr, bool) {
	if s.door == nil {
		return netip.Addr{}, false
	}
	s.door.mu.Lock()
	defer s.door.mu.Unlock()
	at, ok := s.door.from[name]
	return at, ok
}

// Expel closes the connection of a guest at once. Who must not come back has to be
// refused by Admit before.
func (s *Server) Expel(name string) {
	if s.door == nil {
		return
	}
	s.door.mu.Lock()
	id, ok := s.door.inside[name]
	s.door.mu.Unlock()
	if ok {
		s.nats.DisconnectClientByID(id) // an error means that it is gone already
	}
}
