// Package sdk is what the author of a sink plugin imports: the Sink interface, the
// schema of its block, the errors that mean something to netp, and Serve. A plugin is
// a program named netp-sink-TYPE that netp starts and talks to over a private socket:
//
//	func main() {
//		sdk.Serve(sdk.Info{Name: "audit", Version: "1.0.0"}, func() sdk.Sink { return new(audit) })
//	}
//
// The package does not retry, queue or schedule: netp does, see plugins/host. The
// protocol, for plugins in other languages, is in protocol.md and sink.proto;
// sinktest is the suite every sink should pass. Start reading at Sink.
package sdk

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/netpupper/netp"
)

// Sink receives records. netp makes one Sink per sink block and process, calls
// Configure once, then Write, then Close; never two at a time.
type Sink interface {
	// Schema says which arguments the sink's block takes. It does not depend on
	// anything else and may be called before Configure.
	Schema() Schema
	// Configure checks the arguments and keeps them. It must not write anything nor
	// talk to the receiver: netp also calls it to check a suite. An argument that is
	// not usable is an error made with Invalid.
	Configure(ctx context.Context, config Config) error
	// Write hands the records to the receiver. To return nil is to acknowledge the
	// whole batch: it must have reached the receiver for good. After any other error
	// the whole batch comes again, after a pause; after *Rejected the rest of the
	// batch counts as acknowledged. A batch may come again although it was
	// acknowledged, so writing a record twice must give the same as writing it once;
	// netp.Record.ID tells them apart. Write must return soon after ctx is done.
	Write(ctx context.Context, records []netp.Record) error
	// Close frees what the sink holds; it may be called without Configure.
	Close() error
}

// Info says who a plugin is.
type Info struct {
	Name    string // the TYPE of netp-sink-TYPE
	Version string // a semantic version, "1.2.0"
}

// Config is what a sink block says, checked against the sink's schema: arguments that
// were left out have their defaults, secrets are filled in.
type Config struct {
	// Name is the address of the block, "sink.influxdb.noc".
	Name string
	// Directory is the one relative file names start from.
	Directory string
	// Confined is true when the suite came from somebody who must not reach other
	// files of this host: a sink then touches files below Directory only.
	Confined bool

	values []byte
}

// closeTimeout bounds how long a sink may take to close.
const closeTimeout = 5 * time.Second

// Serve runs the plugin until netp is done with it; it is the last call of main. It
// sets slog's default logger to one that netp reads, and ends the process when netp
// is gone.
func Serve(info Info, newSink func() Sink) {
	if os.Getenv(cookieKey) != cookieValue {
		fmt.Fprintf(os.Stderr, "netp-sink-%s %s is a sink plugin of netp: netp starts it by itself for suites with a sink %q block.\n", info.Name, info.Version, info.Name)
		os.Exit(1)
	}
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	go exitWithHost(os.Stdin)
	service := &service{info: info, sink: newSink(), turn: make(chan struct{}, 1)}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: Handshake(),
		Plugins:         plugin.PluginSet{PluginName: &glue{service: service}},
		GRPCServer: func(options []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(options, grpc.MaxRecvMsgSize(MaxMessage), grpc.MaxSendMsgSize(MaxMessage))...)
		},
		Logger: hclog.NewNullLogger(),
	})
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := service.close(ctx); err != nil {
		slog.Error("close", "error", err)
	}
}

// exitWithHost ends the process when its standard input does: the host holds the other
// end open for as long as it lives.
func exitWithHost(stdin io.Reader) {
	_, _ = io.Copy(io.Discard, stdin)
	os.Exit(0)
}
