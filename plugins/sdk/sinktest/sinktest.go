// Package sinktest is the conformance suite of sinks: what netp relies on when it
// delivers. A sink's own test calls Run with a receiver it can look into.
package sinktest

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plugins/sdk"
)

// Case is a sink under test.
type Case struct {
	New func() sdk.Sink
	// Receiver makes a fresh receiver that holds no records.
	Receiver func(t *testing.T) Receiver
	// Wrong lists arguments that Configure must refuse.
	Wrong []Wrong
}

// Receiver is where a sink writes to, and a look into it.
type Receiver struct {
	Arguments map[string]any
	Secrets   map[string]string
	Directory string
	// IDs lists the record the receiver holds, one as often as it is there; in any order.
	IDs func(t *testing.T) []string
}

// Wrong is a set of arguments that fits the schema's types and is wrong nevertheless.
type Wrong struct {
	Name      string
	Arguments map[string]any
	Attribute string // the one the fault must name
}

// Run runs the suite.
func Run(t *testing.T, c Case) {
	for _, part := range []struct {
		name string
		run  func(*testing.T, Case)
	}{
		{"schema", schema}, {"configure writes nothing", configureOnly}, {"wrong arguments", wrong},
		{"close without configure", closeOnly}, {"write", write}, {"deliver again", again},
		{"deliver again after restart", afterRestart}, {"overlapping batches", overlap}, {"empty batch", nothing},
		{"large batch", large}, {"cancelled", cancelled}, {"several at once", several},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, c) })
	}
}

// Open makes a configured sink for a receiver; it is closed at the end of the test.
func Open(t *testing.T, c Case, r Receiver) sdk.Sink {
	t.Helper()
	sink, err := configure(t, c.New(), r)
	if err != nil {
		t.Fatalf("Configure(%v): %v", r.Arguments, err)
	}
	t.Cleanup(func() {
		if err := sink.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return sink
}

func configure(t *testing.T, sink sdk.Sink, r Receiver) (sdk.Sink, error) {
	t.Helper()
	arguments, err := json.Marshal(r.Arguments)
	if err != nil {
		t.Fatal(err)
	}
	config, faults := sdk.NewConfig(sink.Schema(), arguments, r.Secrets)
	if len(faults) > 0 {
		t.Fatalf("the arguments %s do not fit the schema: %v", arguments, faults)
	}
	config.Name, config.Directory = "sink.under.test", r.Directory
	return sink, sink.Configure(t.Context(), config)
}

func mustWrite(t *testing.T, sink sdk.Sink, records []netp.Record) {
	t.Helper()
	if err := sink.Write(t.Context(), records); err != nil {
		t.Fatalf("Write of %d records: %v", len(records), err)
	}
}

// holds checks that the receiver has each record exactly once.
func holds(t *testing.T, r Receiver, records []netp.Record) {
	t.Helper()
	want := []string{}
	for _, record := range records {
		want = append(want, record.ID)
	}
	got := append([]string{}, r.IDs(t)...)
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records in the receiver (-want +got):\n%s", diff)
	}
}

func schema(t *testing.T, c Case) {
	first := c.New().Schema()
	if err := first.Check(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(first, c.New().Schema()); diff != "" {
		t.Errorf("the schema changes from call to call:\n%s", diff)
	}
}

func configureOnly(t *testing.T, c Case) {
	r := c.Receiver(t)
	Open(t, c, r)
	holds(t, r, nil)
}

func wrong(t *testing.T, c Case) {
	for _, w := range c.Wrong {
		t.Run(w.Name, func(t *testing.T) {
			sink := c.New()
			defer sink.Close()
			_, err := configure(t, sink, Receiver{Arguments: w.Arguments, Directory: t.TempDir()})
			var fault sdk.Fault
			if !errors.As(err, &fault) {
				t.Fatalf("Configure(%v) = %v, want a fault made with sdk.Invalid", w.Arguments, err)
			}
			if fault.Attribute != w.Attribute || fault.Detail == "" {
				t.Errorf("fault %+v, want one of attribute %q with a detail", fault, w.Attribute)
			}
		})
	}
}

func closeOnly(t *testing.T, c Case) {
	if err := c.New().Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func write(t *testing.T, c Case) {
	r := c.Receiver(t)
	sink := Open(t, c, r)
	all := Records(7)
	mustWrite(t, sink, all[:3])
	holds(t, r, all[:3])
	mustWrite(t, sink, all[3:])
	holds(t, r, all)
}

func again(t *testing.T, c Case) {
	r := c.Receiver(t)
	sink := Open(t, c, r)
	for range 3 {
		mustWrite(t, sink, Records(5))
	}
	holds(t, r, Records(5))
}

func afterRestart(t *testing.T, c Case) {
	r := c.Receiver(t)
	for range 2 {
		sink, err := configure(t, c.New(), r)
		if err != nil {
			t.Fatal(err)
		}
		mustWrite(t, sink, Records(5))
		if err := sink.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
	holds(t, r, Records(5))
}

func overlap(t *testing.T, c Case) {
	r := c.Receiver(t)
	sink := Open(t, c, r)
	all := Records(10)
	mustWrite(t, sink, all[:6])
	mustWrite(t, sink, all[3:])
	holds(t, r, all)
}

func nothing(t *testing.T, c Case) {
	r := c.Receiver(t)
	mustWrite(t, Open(t, c, r), nil)
	holds(t, r, nil)
}

func large(t *testing.T, c Case) {
	r := c.Receiver(t)
	sink := Open(t, c, r)
	mustWrite(t, sink, Records(400))
	holds(t, r, Records(400))
}

func cancelled(t *testing.T, c Case) {
	r := c.Receiver(t)
	sink := Open(t, c, r)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sink.Write(ctx, Records(3)); err == nil {
		holds(t, r, Records(3)) // to be done before the end shows is no mistake
	}
	mustWrite(t, sink, Records(3))
	holds(t, r, Records(3))
}

func several(t *testing.T, c Case) {
	var all sync.WaitGroup
	defer all.Wait()
	for range 3 {
		r := c.Receiver(t)
		sink := Open(t, c, r)
		all.Go(func() {
			for i := range 5 {
				if err := sink.Write(t.Context(), Records(20)[4*i:4*i+4]); err != nil {
					t.Errorf("Write: %v", err)
				}
			}
			holds(t, r, Records(20))
		})
	}
}
