package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Options say what a controller needs of a server.
type Options struct {
	// Server is the embedded one; nil to use URL.
	Server *Server
	URL    string
	// Results is the subject of what the results queue takes in, with wildcards.
	Results string
	// MaxResults bounds the results queue [B]; 0 for 256 MiB. When it is full it
	// takes nothing more, and the agents keep what they have.
	MaxResults int64
	// Lease is how long a presence lasts without being renewed.
	Lease time.Duration
	// Ephemeral keeps the results queue in memory.
	Ephemeral bool
	Logger    *slog.Logger // nil logs nothing
}

// Names on the server. They are part of the protocol between controllers.
const (
	resultsStream   = "NETP_RESULTS"
	resultsConsumer = "controller"
	presenceBucket  = "NETP_PRESENCE"
)

// Bus is what a controller has on a server. It may be used concurrently.
type Bus struct {
	conn     *nats.Conn
	js       jetstream.JetStream
	results  jetstream.Consumer
	queue    jetstream.StreamConfig // of results
	presence jetstream.KeyValue
	broken   func() string // why the embedded server cannot write the queue, "" when it can; nil for another's server
	logger   *slog.Logger
	// since is when the queue took in what is next to be handed over [Unix ns]; 0 for
	// nothing.
	since atomic.Int64
}

// Open connects and makes the queue and the presence bucket, unless they are
// there. The caller closes it.
//
// A server that is too old for leases that expire is refused with a named error
// instead of being trusted.
func Open(ctx context.Context, o Options) (*Bus, error) {
	logger := cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	conn, err := connect(o)
	if err != nil {
		return nil, fmt.Errorf("connect to the bus: %w", err)
	}
	b := &Bus{conn: conn, queue: resultsConfig(o), logger: logger}
	if o.Server != nil && !o.Ephemeral { // memory is written for as long as there is any
		b.broken = o.Server.brokenQueue
	}
	if err := b.prepare(ctx, o); err != nil {
		conn.Close()
		return nil, err
	}
	return b, nil
}

func connect(o Options) (*nats.Conn, error) {
	options := []nats.Option{nats.Name("netp controller queues"), nats.MaxReconnects(-1), nats.PingInterval(2 * time.Second)}
	if o.Server != nil {
		options = append(options, nats.InProcessServer(o.Server))
	}
	return nats.Connect(o.URL, options...)
}

func (b *Bus) prepare(ctx context.Context, o Options) error {
	js, err := jetstream.New(b.conn)
	if err != nil {
		return fmt.Errorf("use the bus's queues: %w", err)
	}
	if b.presence, err = js.CreateOrUpdateKeyValue(ctx, presenceConfig(o)); err != nil {
		if errors.Is(err, jetstream.ErrLimitMarkerTTLNotSupported) {
			return fmt.Errorf("the NATS server %s cannot let leases expire; netp needs version 2.11 or later: %w", b.conn.ConnectedServerVersion(), err)
		}
		return fmt.Errorf("make the presence bucket: %w", err)
	}
	b.js = js
	return b.openQueue(ctx)
}

// openQueue makes the results queue, unless it is there.
func (b *Bus) openQueue(ctx context.Context) error {
	stream, err := b.js.CreateOrUpdateStream(ctx, b.queue)
	if err != nil {
		return fmt.Errorf("make the results queue: %w", err)
	}
	b.results, err = stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable:       resultsConsumer,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       30 * time.Second,
		MaxAckPending: 1024,
	})
	if err != nil {
		return fmt.Errorf("read the results queue: %w", err)
	}
	return nil
}

// remakeTimeout bounds making the queue anew.
const remakeTimeout = 10 * time.Second

// remake makes the results queue anew, empty.
func (b *Bus) remake(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, remakeTimeout)
	defer cancel()
	if err := b.js.DeleteStream(ctx, resultsStream); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("remove the results queue: %w", err)
	}
	return b.openQueue(ctx)
}

// presenceConfig: in memory, for heartbeats must not wait for a disk. A lease
// that ran out leaves a marker, so that those who watch hear of it.
func presenceConfig(o Options) jetstream.KeyValueConfig {
	return jetstream.KeyValueConfig{
		Bucket:         presenceBucket,
		Storage:        jetstream.MemoryStorage,
		TTL:            o.Lease,
		LimitMarkerTTL: max(o.Lease, time.Second),
		MaxBytes:       64 << 20,
	}
}

// maxPerAgent is how many results of one agent the queue holds: many more than come
// at a time, for they are taken out within milliseconds.
const maxPerAgent = 2000

func resultsConfig(o Options) jetstream.StreamConfig {
	size := o.MaxResults
	if size == 0 {
		size = 256 << 20
	}
	storage := jetstream.FileStorage
	if o.Ephemeral {
		storage = jetstream.MemoryStorage
	}
	return jetstream.StreamConfig{
		Name:       resultsStream,
		Subjects:   []string{o.Results},
		Retention:  jetstream.WorkQueuePolicy,
		Storage:    storage,
		MaxBytes:   size,
		MaxMsgSize: 1 << 20,
		Discard:    jetstream.DiscardNew,
		// One agent's results leave room for those of others; it sends again what did not fit.
		MaxMsgsPerSubject:    maxPerAgent,
		DiscardNewPerSubject: true,
		NoAck:                true, // the store confirms; the queue must not publish to where a sender points it
	}
}

// Close disconnects.
func (b *Bus) Close() { b.conn.Close() }
