package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/netpupper/netp"
)

// The protocol, see protocol.md: each message is JSON in a google.protobuf.BytesValue,
// so that no generated code is needed here and sink.proto suffices elsewhere.
const (
	// ProtocolVersion is the version of the handshake and of the service.
	ProtocolVersion = 1
	// MaxMessage is the size limit of each message in both directions [B].
	MaxMessage = 16 << 20
	// PluginName is the name the host asks for; one program holds one sink type.
	PluginName = "sink"

	serviceName = "netp.sink.v1.Sink"
	cookieKey   = "NETP_SINK_PLUGIN"
	cookieValue = "b1e0d6c4-started-by-netp"
)

// Handshake is what host and plugin agree on before they talk.
func Handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{ProtocolVersion: ProtocolVersion, MagicCookieKey: cookieKey, MagicCookieValue: cookieValue}
}

// Plugins is the set of plugins a host asks a sink program for; dispensing PluginName
// gives a Client.
func Plugins() plugin.PluginSet { return plugin.PluginSet{PluginName: &glue{}} }

// Description is the answer to Describe.
type Description struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Schema  Schema `json:"schema"`
}

// Setup is the question of Configure.
type Setup struct {
	Name      string            `json:"name"`
	Arguments json.RawMessage   `json:"arguments"`
	Secrets   map[string]string `json:"secrets,omitempty"`
	Directory string            `json:"directory,omitempty"`
	Confined  bool              `json:"confined,omitempty"`
}

type setupAnswer struct {
	Faults []Fault `json:"faults,omitempty"`
}

type writeAnswer struct {
	Rejected []Rejection `json:"rejected,omitempty"`
}

type empty struct{}

// glue joins the service to go-plugin.
type glue struct {
	plugin.NetRPCUnsupportedPlugin
	service *service
}

func (g *glue) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	s.RegisterService(g.service.describeService(), g.service)
	return nil
}

func (g *glue) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return &Client{conn: conn}, nil
}

// service is the plugin's side.
type service struct {
	info   Info
	sink   Sink
	turn   chan struct{} // holds a token while the sink is at work
	closed bool          // guarded by turn
}

func (s *service) describeService() *grpc.ServiceDesc {
	return &grpc.ServiceDesc{ServiceName: serviceName, HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{
		method("Describe", s.describe), method("Configure", s.configure), method("Write", s.write),
		method("Close", func(ctx context.Context, _ empty) (empty, error) { return empty{}, s.close(ctx) }),
	}, Metadata: "sink.proto"}
}

// method makes a gRPC method of a function over JSON messages.
func method[Q, A any](name string, call func(context.Context, Q) (A, error)) grpc.MethodDesc {
	handle := func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		var in wrapperspb.BytesValue
		if err := decode(&in); err != nil {
			return nil, err
		}
		var question Q
		if err := json.Unmarshal(in.Value, &question); err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "%s: %v", name, err)
		}
		answer, err := call(ctx, question)
		if ctx.Err() != nil && err != nil {
			return nil, status.FromContextError(ctx.Err()).Err()
		}
		if err != nil { // Unknown, also for a time-out of the sink's own, which is no missed deadline
			return nil, status.Error(codes.Unknown, err.Error())
		}
		out, err := json.Marshal(answer)
		return &wrapperspb.BytesValue{Value: out}, err
	}
	return grpc.MethodDesc{MethodName: name, Handler: handle}
}

// enter waits for the sink to be free.
func (s *service) enter(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *service) leave() { <-s.turn }

func (s *service) describe(context.Context, empty) (Description, error) {
	return Description{s.info.Name, s.info.Version, s.sink.Schema()}, nil
}

func (s *service) configure(ctx context.Context, setup Setup) (setupAnswer, error) {
	config, faults := NewConfig(s.sink.Schema(), setup.Arguments, setup.Secrets)
	if len(faults) > 0 {
		return setupAnswer{faults}, nil
	}
	config.Name, config.Directory, config.Confined = setup.Name, setup.Directory, setup.Confined
	if err := s.enter(ctx); err != nil {
		return setupAnswer{}, err
	}
	defer s.leave()
	err := s.sink.Configure(ctx, config)
	if fault := (Fault{}); errors.As(err, &fault) {
		return setupAnswer{[]Fault{fault}}, nil
	}
	return setupAnswer{}, err
}

func (s *service) write(ctx context.Context, question struct {
	Records []netp.Record `json:"records"`
}) (writeAnswer, error) {
	if err := s.enter(ctx); err != nil {
		return writeAnswer{}, err
	}
	defer s.leave()
	err := s.sink.Write(ctx, question.Records)
	if rejected := (*Rejected)(nil); errors.As(err, &rejected) {
		return writeAnswer{rejected.Records}, nil
	}
	return writeAnswer{}, err
}

func (s *service) close(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.sink.Close()
}

// Client is the host's side of one running plugin. Its methods may block until their
// context is done, and return gRPC status errors.
type Client struct{ conn *grpc.ClientConn }

// Conn is the connection, for the standard services.
func (c *Client) Conn() *grpc.ClientConn { return c.conn }

// Describe asks who the plugin is and which arguments it takes.
func (c *Client) Describe(ctx context.Context) (Description, error) {
	var d Description
	err := c.call(ctx, "Describe", empty{}, &d)
	return d, err
}

// Configure hands over the arguments; faults are the suite author's to mend.
func (c *Client) Configure(ctx context.Context, setup Setup) ([]Fault, error) {
	var answer setupAnswer
	err := c.call(ctx, "Configure", setup, &answer)
	return answer.Faults, err
}

// Write hands over records, each as its JSON; without an error all but the rejected
// are acknowledged.
func (c *Client) Write(ctx context.Context, records []json.RawMessage) ([]Rejection, error) {
	var answer writeAnswer
	err := c.call(ctx, "Write", map[string]any{"records": records}, &answer)
	return answer.Rejected, err
}

// Close asks the sink to free what it holds.
func (c *Client) Close(ctx context.Context) error { return c.call(ctx, "Close", empty{}, &empty{}) }

func (c *Client) call(ctx context.Context, name string, question, answer any) error {
	in, err := json.Marshal(question)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	var out wrapperspb.BytesValue
	if err := c.conn.Invoke(ctx, "/"+serviceName+"/"+name, &wrapperspb.BytesValue{Value: in}, &out); err != nil {
		return err
	}
	if err := json.Unmarshal(out.Value, answer); err != nil {
		return status.Errorf(codes.DataLoss, "the answer to %s is no JSON of the protocol: %v", name, err)
	}
	return nil
}
