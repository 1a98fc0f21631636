package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/netpupper/netp/plugins/sdk"
)

// instance is one running plugin, used by one worker.
type instance struct {
	client      *plugin.Client
	sink        *sdk.Client
	process     *process
	logs        *logs
	description sdk.Description
	policy      Policy
}

// start runs the plugin of a sink until it answers, or fails within StartTimeout. The
// caller stops the instance.
func (h *Host) start(ctx context.Context, s Sink) (*instance, error) {
	image, err := h.image(s.Type)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, h.policy.StartTimeout)
	defer cancel()
	i := &instance{policy: h.policy, logs: newLogs(h.log.With("sink", s.Name, "plugin", s.Type), s.Secrets)}
	i.process = newProcess(image, s.Type, h.options.Directory, i.logs)
	i.client = plugin.NewClient(h.clientConfig(i, image.run))
	if err = i.connect(ctx); err == nil {
		err = h.fits(s.Type, i.description)
	}
	if err != nil {
		err = fmt.Errorf("start plugin %s: %w", s.Type, i.explain(err))
		i.kill()
		return nil, err
	}
	return i, nil
}

func (h *Host) clientConfig(i *instance, run string) *plugin.ClientConfig {
	return &plugin.ClientConfig{
		HandshakeConfig:  sdk.Handshake(),
		Plugins:          sdk.Plugins(),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     h.policy.StartTimeout,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: run},
		Logger:           hclog.NewNullLogger(),
		SyncStdout:       i.logs,
		SyncStderr:       i.logs,
		GRPCDialOptions: []grpc.DialOption{
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(sdk.MaxMessage), grpc.MaxCallSendMsgSize(sdk.MaxMessage)),
			grpc.WithMaxHeaderListSize(64 << 10),
			grpc.WithStreamInterceptor(refuseBroker),
		},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, socket string) (runner.Runner, error) {
			i.process.prepare(cmd.Env, socket)
			return i.process, nil
		},
	}
}

// refuseBroker keeps go-plugin's broker away: through it a plugin could make the host
// keep state and open connections, and sinks need none.
func refuseBroker(ctx context.Context, d *grpc.StreamDesc, conn *grpc.ClientConn, method string, streamer grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
	if strings.HasPrefix(method, "/plugin.GRPCBroker/") {
		return nil, status.Error(codes.Unimplemented, "no broker")
	}
	return streamer(ctx, d, conn, method, options...)
}

// connect starts the process, shakes hands, and waits for the first answers. go-plugin
// does not watch a context, so when time is up the process is killed, which ends it.
func (i *instance) connect(ctx context.Context) error {
	done := make(chan error, 1)
	go func() {
		client, err := i.client.Client()
		if err == nil {
			var raw any
			raw, err = client.Dispense(sdk.PluginName)
			i.sink, _ = raw.(*sdk.Client)
		}
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			return err
		}
	case <-ctx.Done():
		i.process.kill()
		<-done
		return ctx.Err()
	}
	health := grpc_health_v1.NewHealthClient(i.sink.Conn())
	answer, err := health.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: plugin.GRPCServiceName})
	if err != nil {
		return fmt.Errorf("health check: %w", err)
	}
	if answer.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("health check: the plugin is %v", answer.Status)
	}
	if i.description, err = i.sink.Describe(ctx); err != nil {
		return fmt.Errorf("ask for the schema: %w", err)
	}
	return nil
}

// configure hands the sink its arguments.
func (i *instance) configure(ctx context.Context, s Sink, o Options) ([]sdk.Fault, error) {
	ctx, cancel := context.WithTimeout(ctx, i.policy.StartTimeout)
	defer cancel()
	arguments := json.RawMessage(s.Arguments)
	if len(arguments) == 0 {
		arguments = json.RawMessage("{}")
	}
	faults, err := i.sink.Configure(ctx, sdk.Setup{Name: s.Name, Arguments: arguments, Secrets: s.Secrets, Directory: o.Directory, Confined: o.Confined})
	for n := range faults {
		faults[n].Summary = i.clean(faults[n].Summary)
		faults[n].Detail = i.clean(faults[n].Detail)
	}
	return faults, i.explain(err)
}

// Write delivers one batch within CallTimeout.
func (i *instance) Write(ctx context.Context, records []json.RawMessage) ([]sdk.Rejection, error) {
	ctx, cancel := context.WithTimeout(ctx, i.policy.CallTimeout)
	defer cancel()
	rejected, err := i.sink.Write(ctx, records)
	for n := range rejected {
		rejected[n].Reason = i.clean(rejected[n].Reason)
	}
	return rejected, i.explain(err)
}

// Version is what the plugin calls its version.
func (i *instance) Version() string { return i.description.Version }

// stop asks the plugin to end, and kills it when it does not.
func (i *instance) stop() {
	late := time.AfterFunc(i.policy.CloseTimeout, i.process.kill)
	defer late.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), i.policy.CloseTimeout)
	defer cancel()
	_ = i.sink.Close(ctx) // a plugin that cannot close is killed like the others
	i.client.Kill()
}

// kill ends the plugin at once.
func (i *instance) kill() {
	i.process.kill()
	i.client.Kill()
}

const maxErrorText = 1000

// clean makes text from a plugin fit for logs and people.
func (i *instance) clean(text string) string {
	text = i.logs.secrets.Replace(strings.ToValidUTF8(text, "�"))
	if len(text) > maxErrorText {
		text = strings.ToValidUTF8(text[:maxErrorText], "") + "…"
	}
	return text
}

// pluginError is an error that came from or through a plugin, made fit for people.
type pluginError struct {
	code codes.Code
	text string
}

func (e *pluginError) Error() string { return e.text }

// explain makes an error of a call, or of a start, readable; nil stays nil.
func (i *instance) explain(err error) error {
	if err == nil {
		return nil
	}
	code := status.Code(err)
	text := err.Error()
	answered, ok := status.FromError(err)
	if ok {
		text = answered.Message()
	}
	switch {
	case ok && code == codes.Unknown: // the sink's own words
	case errors.Is(err, context.DeadlineExceeded) || code == codes.DeadlineExceeded:
		code, text = codes.DeadlineExceeded, "the plugin did not answer in time"
	case code == codes.ResourceExhausted:
		text = "a message is over the limit of 16 MiB: " + text
	case i.ended():
		if outcome, ok := i.process.outcome(); ok {
			text = "the plugin ended: " + outcome
		}
		if tail := i.logs.tail(); tail != "" {
			text += ": " + tail
		}
	}
	return &pluginError{code, i.clean(text)}
}

// ended reports whether the program has ended or ends right now: a call fails a moment
// before the process is seen to be gone.
func (i *instance) ended() bool {
	select {
	case <-i.process.exited:
		i.process.readers.Wait()
		return true
	case <-time.After(drain / 4):
		return false
	}
}
