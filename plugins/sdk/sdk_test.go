package sdk

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"encoding/json"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/netpupper/netp"
)

var everyType = Schema{
	{Name: "url", Type: String, Required: true, Doc: "Where."},
	{Name: "size", Type: Number, Default: 5, Doc: "How much."},
	{Name: "loud", Type: Bool, Default: true, Doc: "Whether."},
	{Name: "hosts", Type: List, Doc: "Which."},
	{Name: "headers", Type: Map, Sensitive: true, Doc: "What else."},
}

func TestFill(t *testing.T) {
	for _, test := range []struct {
		name, arguments string
		secrets         map[string]string
		want            string   // JSON
		faults          []string // attribute: summary
	}{
		{"defaults", `{"url":"x"}`, nil, `{"loud":true,"size":5,"url":"x"}`, nil},
		{"all", `{"url":"x","size":0,"loud":false,"hosts":["a","b"],"headers":{"k":"v"}}`, nil, `{"headers":{"k":"v"},"hosts":["a","b"],"loud":false,"size":0,"url":"x"}`, nil},
		{"converted", `{"url":8086,"size":"1.5","loud":"false","hosts":[1,true]}`, nil, `{"hosts":["1","true"],"loud":false,"size":1.5,"url":"8086"}`, nil},
		{"null is left out", `{"url":"x","size":null}`, nil, `{"loud":true,"size":5,"url":"x"}`, nil},
		{"secrets", `{"hosts":["a",null]}`, map[string]string{"url": "s", "headers.A.b": "t", "hosts.1": "u"}, `{"headers":{"A.b":"t"},"hosts":["a","u"],"loud":true,"size":5,"url":"s"}`, nil},
		{"missing and unknown", `{"Url":"x"}`, nil, "", []string{"url: Missing argument", "Url: Unknown argument"}},
		{"types", `{"url":["x"],"size":"big","loud":1,"hosts":"a","headers":{"a":{}}}`, nil, "", []string{"url: Invalid type", "size: Invalid type", "loud: Invalid type", "hosts: Invalid type", "headers: Invalid type"}},
		{"no infinity", `{"url":"x","size":"inf"}`, nil, "", []string{"size: Invalid type"}},
		{"secret without a place", `{"url":"x","hosts":["a"]}`, map[string]string{"hosts.7": "t"}, "", []string{": Invalid arguments"}},
		{"no object", `"x"`, nil, "", []string{": Invalid arguments"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			filled, faults := everyType.Fill([]byte(test.arguments), test.secrets)
			var got []string
			for _, f := range faults {
				got = append(got, f.Attribute+": "+f.Summary)
				if f.Detail == "" {
					t.Errorf("no detail in %+v", f)
				}
			}
			if !slices.Equal(got, test.faults) {
				t.Fatalf("faults %q, want %q", faults, test.faults)
			}
			if text, _ := json.Marshal(filled); len(faults) == 0 && string(text) != test.want {
				t.Errorf("got %s, want %s", text, test.want)
			}
		})
	}
}

func TestFaultsHoldNoValues(t *testing.T) {
	_, faults := everyType.Fill([]byte(`{"url":"x","size":"hunter2","headers":"hunter2"}`), map[string]string{"loud": "hunter2"})
	if len(faults) != 3 || strings.Contains(fmt.Sprint(faults), "hunter2") {
		t.Errorf("faults %+v", faults)
	}
}

func TestSchemaCheck(t *testing.T) {
	if err := everyType.Check(); err != nil {
		t.Error(err)
	}
	for name, bad := range map[string]Attribute{
		"name": {Name: "Upper", Type: String, Doc: "x"}, "type": {Name: "a", Type: "colour", Doc: "x"}, "doc": {Name: "a", Type: String},
		"default": {Name: "a", Type: Number, Default: "many", Doc: "x"}, "required with default": {Name: "a", Type: String, Required: true, Default: "x", Doc: "x"},
		"reserved": {Name: "for_each", Type: List, Doc: "x"}, "twice": {Name: "ok", Type: String, Doc: "x"},
	} {
		if err := (Schema{{Name: "ok", Type: String, Doc: "x"}, bad}).Check(); err == nil {
			t.Errorf("%s: no fault found in %+v", name, bad)
		}
	}
}

func TestIsolate(t *testing.T) {
	records := make([]netp.Record, 33)
	for i := range records {
		records[i].ID = fmt.Sprint(i)
	}
	down := errors.New("down")
	for _, test := range []struct {
		name   string
		poison []string
		down   string // the record at which the receiver goes down
		want   []string
	}{
		{"all well", nil, "", nil}, {"one", []string{"17"}, "", []string{"17"}}, {"ends", []string{"0", "32"}, "", []string{"0", "32"}},
		{"down", []string{"3"}, "30", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			stored := map[string]bool{}
			err := Isolate(t.Context(), records, func(_ context.Context, batch []netp.Record) error {
				for _, r := range batch {
					if slices.Contains(test.poison, r.ID) {
						return fmt.Errorf("store: %w", Permanent(errors.New("bad record")))
					}
				}
				for _, r := range batch {
					if r.ID == test.down {
						return down
					}
					stored[r.ID] = true
				}
				return nil
			})
			var rejected *Rejected
			var got []string
			if errors.As(err, &rejected) {
				for _, r := range rejected.Records {
					got = append(got, r.ID)
				}
			}
			if !slices.Equal(got, test.want) || (test.down != "") != errors.Is(err, down) {
				t.Fatalf("Isolate = %v", err)
			}
			if test.down == "" && len(stored) != 33-len(test.poison) {
				t.Errorf("%d records stored", len(stored))
			}
		})
	}
}

// probe is a sink that answers as it is told.
type probe struct {
	write   func(context.Context, []netp.Record) error
	config  Config
	busy    atomic.Bool
	tangled atomic.Bool // two calls were in Write at once
}

func (p *probe) Schema() Schema { return everyType }
func (p *probe) Configure(_ context.Context, c Config) error {
	var v struct{ Size float64 }
	if err := c.Decode(&v); err != nil || v.Size < 0 {
		return Invalid("size", "It is %g.", v.Size)
	}
	p.config = c
	return nil
}
func (p *probe) Write(ctx context.Context, r []netp.Record) error {
	if p.busy.Swap(true) {
		p.tangled.Store(true)
	}
	defer p.busy.Store(false)
	return p.write(ctx, r)
}
func (p *probe) Close() error { return errors.New("close trouble") }

func dial(t *testing.T, p *probe) *Client {
	l := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	g := &glue{service: &service{info: Info{"probe", "1.0.0"}, sink: p, turn: make(chan struct{}, 1)}}
	if err := g.GRPCServer(nil, server); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- server.Serve(l) }()
	conn, err := grpc.Dial("probe", grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return l.Dial() })) //nolint:staticcheck // what go-plugin's version has
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(); server.Stop(); <-done })
	raw, err := g.GRPCClient(t.Context(), nil, conn)
	if err != nil {
		t.Fatal(err)
	}
	return raw.(*Client)
}

func TestProtocol(t *testing.T) {
	p := &probe{}
	c := dial(t, p)
	d, err := c.Describe(t.Context())
	if err != nil || d.Name != "probe" || d.Version != "1.0.0" || len(d.Schema) != len(everyType) {
		t.Errorf("Describe = %+v, %v", d, err)
	}
	faults, err := c.Configure(t.Context(), Setup{Arguments: []byte(`{"url":"x","size":-1}`)})
	if err != nil || !cmp.Equal(faults, []Fault{{"size", "Invalid argument", "It is -1."}}) {
		t.Errorf("Configure = %+v, %v", faults, err)
	}
	if faults, err = c.Configure(t.Context(), Setup{Arguments: []byte(`{}`)}); err != nil || len(faults) != 1 || faults[0].Summary != "Missing argument" {
		t.Errorf("Configure = %+v, %v", faults, err)
	}
	if faults, err = c.Configure(t.Context(), Setup{Name: "n", Directory: "/d", Confined: true, Arguments: []byte(`{}`), Secrets: map[string]string{"url": "x"}}); err != nil || len(faults) > 0 {
		t.Errorf("Configure = %+v, %v", faults, err)
	}
	if p.config.Name != "n" || p.config.Directory != "/d" || !p.config.Confined {
		t.Errorf("the sink got %+v", p.config)
	}
	if err := c.Close(t.Context()); err == nil || !strings.Contains(err.Error(), "close trouble") {
		t.Errorf("Close = %v", err)
	}
}

func TestWriteOverTheWire(t *testing.T) {
	p := &probe{}
	c := dial(t, p)
	records := []json.RawMessage{[]byte(`{"id":"a","format_version":"1.0","unknown":1}`), []byte(`{"id":"b"}`)}
	p.write = func(_ context.Context, r []netp.Record) error {
		if len(r) != 2 || r[0].ID != "a" || r[0].FormatVersion != "1.0" || r[1].ID != "b" {
			t.Errorf("the sink got %+v", r)
		}
		return &Rejected{[]Rejection{{"b", "why"}}}
	}
	if rejected, err := c.Write(t.Context(), records); err != nil || !cmp.Equal(rejected, []Rejection{{"b", "why"}}) {
		t.Errorf("Write = %v, %v", rejected, err)
	}
	p.write = func(context.Context, []netp.Record) error { return fmt.Errorf("post: %w", context.DeadlineExceeded) }
	if _, err := c.Write(t.Context(), records); status.Code(err) != codes.Unknown {
		t.Errorf("a time-out of the sink's own comes as %v, want Unknown", err)
	}
	if _, err := c.Write(t.Context(), []json.RawMessage{[]byte(`[]`)}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("Write of nonsense = %v", err)
	}
}

func TestOneCallAtATime(t *testing.T) {
	p := &probe{}
	c := dial(t, p)
	entered, leave := make(chan struct{}), make(chan struct{})
	p.write = func(context.Context, []netp.Record) error { entered <- struct{}{}; <-leave; return nil }
	first := make(chan error)
	go func() { _, err := c.Write(t.Context(), nil); first <- err }()
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Write(ctx, nil); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("the second call = %v, want it to wait", err)
	}
	close(leave)
	if err := <-first; err != nil || p.tangled.Load() {
		t.Errorf("first call %v, tangled %v", err, p.tangled.Load())
	}
}
