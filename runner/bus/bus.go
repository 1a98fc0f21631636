// Package bus is the controller's NATS: the embedded server, the queue of
// results, and the presence of agents. It carries bytes and knows no message; the
// protocol is package wire's. A bus that loses everything costs a re-send, not a
// record: what must last is in the store and in the agents' spools.
//
// Start with Start (a server in this process), then Open (what the controller
// needs on a server, embedded or not).
package bus

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/netpupper/netp/quantity"
)

// Config describes an embedded server.
type Config struct {
	// Dir holds the server's files; it is made when missing. With Ephemeral it may
	// be empty for the system's temporary directory.
	Dir string
	// Ephemeral keeps messages in memory. The few files the server insists on are
	// in a directory of its own below Dir, removed by Close; what a killed process
	// left there is removed by the next Start.
	Ephemeral bool
	// Listen is the address for agents of other processes, HOST:PORT; empty for none.
	Listen string
	// TLS is for Listen, from the first byte; nil for none.
	TLS *tls.Config
	// Admit decides on every connection of another process by the certificate it
	// showed, which TLS has verified; an error refuses it. It must not block. With
	// nil everybody who reaches Listen may do everything.
	Admit func(*x509.Certificate) (Guest, error)
	// Pace bounds what each guest may send. The zero value has defaults.
	Pace Pace
	// MaxConnections bounds the connections of other processes, of which those that have shown nothing yet end after 2 s; 0 for half of the
	// descriptors that this process may have, so that whoever opens connections leaves room for its files and its API.
	MaxConnections int
	// MaxStore bounds what all queues together keep [B]; 0 for 1 GiB.
	MaxStore int64
	// Logger gets the server's notices; nil logs nothing.
	Logger *slog.Logger
}

// readyTimeout bounds the start of the server, recovery of its files included.
const readyTimeout = 30 * time.Second

// pingInterval finds connections whose other end vanished: until then their agent
// cannot come back, for it has one.
const pingInterval = 2 * time.Second

// Server is a running embedded server.
type Server struct {
	nats    *server.Server
	dir     string
	release func() error // gives the directory back
	door    *door        // nil without Admit
	stop    func()       // ends what watches the guests
}

// Start starts an embedded server. The caller closes it.
//
// Errors say whether the directory cannot be written, is used by another
// controller, or the address is taken.
func Start(cfg Config) (*Server, error) {
	dir, release, err := claim(cfg)
	if err != nil {
		return nil, err
	}
	s, err := start(cfg, dir)
	if err != nil {
		return nil, errors.Join(err, release())
	}
	s.dir, s.release = dir, release
	return s, nil
}

func start(cfg Config, dir string) (*Server, error) {
	options, err := options(cfg, dir)
	if err != nil {
		return nil, err
	}
	var at *door
	if cfg.Admit != nil {
		at = newDoor(cfg.Admit, cfg.Logger)
		options.CustomClientAuthentication = at
	}
	s, err := server.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("start bus: %w", err)
	}
	log := &bridge{logger: cfg.Logger}
	s.SetLoggerV2(log, false, false, false)
	if at != nil {
		at.server = s
	}
	s.Start()
	if !log.failed() && s.ReadyForConnections(readyTimeout) && !log.failed() {
		return &Server{nats: s, door: at, stop: at.guard(cfg.Pace.complete())}, nil
	}
	s.Shutdown()
	s.WaitForShutdown()
	if reason := log.fatal.Load(); reason != nil {
		return nil, fmt.Errorf("start bus: %s", *reason)
	}
	return nil, fmt.Errorf("start bus: not ready within %s", quantity.Duration(readyTimeout))
}

func options(cfg Config, dir string) (*server.Options, error) {
	limit := cfg.MaxStore
	if limit == 0 {
		limit = 1 << 30
	}
	o := &server.Options{
		ServerName:         "netp",
		DontListen:         cfg.Listen == "",
		NoSigs:             true,
		JetStream:          true,
		StoreDir:           dir,
		JetStreamMaxStore:  limit,
		JetStreamMaxMemory: limit,
		MaxPayload:         1 << 20,
		MaxConn:            cmp.Or(cfg.MaxConnections, descriptors()/2, server.DEFAULT_MAX_CONNECTIONS),
		TLSConfig:          cfg.TLS,
		TLS:                cfg.TLS != nil,
		TLSHandshakeFirst:  cfg.TLS != nil,
		TLSTimeout:         2,
		AuthTimeout:        2,
		MaxSubs:            100,
		PingInterval:       pingInterval,
		MaxPingsOut:        2,
	}
	if cfg.Listen == "" {
		return o, nil
	}
	host, port, err := net.SplitHostPort(cfg.Listen)
	if err == nil {
		o.Host = host
		o.Port, err = strconv.Atoi(port)
	}
	if err != nil {
		return nil, fmt.Errorf("start bus: listen address %q: %w", cfg.Listen, err)
	}
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	return o, nil
}

// InProcessConn makes a connection without a socket, for clients in this process.
func (s *Server) InProcessConn() (net.Conn, error) { return s.nats.InProcessConn() }

// URL is the address clients of other processes connect to; "" without Listen.
func (s *Server) URL() string {
	if s.nats.Addr() == nil {
		return ""
	}
	return s.nats.ClientURL()
}

// Dir is the directory that the server holds. What others keep there goes with it when
// the server is ephemeral, also after a kill.
func (s *Server) Dir() string { return s.dir }

// brokenQueue says why the results queue is not there or cannot be written any more,
// "" when it can.
func (s *Server) brokenQueue() string {
	health := s.nats.Healthz(&server.HealthzOptions{Account: server.DEFAULT_GLOBAL_ACCOUNT, Stream: resultsStream, Details: true})
	for _, e := range health.Errors {
		if e.Type == server.HealthzErrorStream || e.Type == server.HealthzErrorAccount {
			return e.Error
		}
	}
	return ""
}

// Close stops the server, waits for it, and gives its directory back.
func (s *Server) Close() error {
	s.stop()
	s.nats.Shutdown()
	s.nats.WaitForShutdown()
	return s.release()
}
