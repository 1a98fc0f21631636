//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent"
	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/engine"
	"github.com/netpupper/netp/agent/port"
)

// part is what one end of a measurement is told: so many sessions of a kind at the same time, over one data port.
type part struct {
	Kind     netp.Kind
	Params   netp.Params
	Sessions int
	Local    netip.Addr     // of the responder
	Peer     netip.AddrPort // of the initiator: the responder's data port
	Limit    time.Duration  // after which the sessions are given up
}

// measured is what both ends of a measurement came to.
type measured struct {
	results            []netp.Result // of the sessions, both parts merged
	initiator, respond float64       // CPU time of the processes [s]
}

// play runs both ends, each in a process of its own, and merges what they say.
func play(ctx context.Context, where place, p part) (m measured, err error) {
	p.Local = netip.MustParseAddr(where.dest)
	p.Limit = p.Params.Duration("duration") + time.Minute
	ctx, cancel := context.WithTimeout(ctx, p.Limit+time.Minute)
	defer cancel()
	responder, out, err := launch(ctx, where, p)
	if err != nil {
		return m, err
	}
	address, err := out.ReadString('\n')
	if err == nil {
		p.Peer, err = netip.ParseAddrPort(strings.TrimSpace(address))
	}
	if err != nil {
		return m, errors.Join(fmt.Errorf("the responder did not start: %w", err), responder.Wait())
	}
	initiator, err := command(ctx, p)
	if err != nil {
		return m, err
	}
	ours, err := output(where.near, initiator)
	if err != nil {
		cancel() // ends the responder
		return m, errors.Join(err, responder.Wait())
	}
	theirs, err := io.ReadAll(out)
	if err = errors.Join(err, responder.Wait()); err != nil {
		return m, err
	}
	m.initiator, m.respond = processor(initiator), processor(responder)
	m.results, err = merge(ours, theirs)
	return m, err
}

// launch starts the responder.
func launch(ctx context.Context, where place, p part) (*exec.Cmd, *bufio.Reader, error) {
	responder, err := command(ctx, p)
	if err != nil {
		return nil, nil, err
	}
	out, err := responder.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	return responder, bufio.NewReader(out), start(where.far, responder)
}

// command is this program in the part of one end.
func command(ctx context.Context, p part) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	c := exec.CommandContext(ctx, self, "end", string(text))
	c.Stderr = os.Stderr
	return c, nil
}

// read gives the results that an end has printed.
func read(text []byte) (results []netp.Result, err error) {
	for d := json.NewDecoder(bytes.NewReader(text)); d.More(); {
		var r netp.Result
		if err := d.Decode(&r); err != nil {
			return nil, fmt.Errorf("read the results of an end: %w", err)
		}
		results = append(results, r)
	}
	return results, nil
}

// merge joins the parts of each session.
func merge(ours, theirs []byte) ([]netp.Result, error) {
	near, err := read(ours)
	if err != nil {
		return nil, err
	}
	far, err := read(theirs)
	if err != nil {
		return nil, err
	}
	if len(near) != len(far) || len(near) == 0 {
		return nil, fmt.Errorf("%d results of one end, %d of the other", len(near), len(far))
	}
	var all []netp.Result
	for i := range near {
		r := netp.Merge(near[i], far[i])
		if r.Failure != nil {
			return nil, fmt.Errorf("%s: %s", r.Failure.Kind, r.Failure.Detail)
		}
		all = append(all, r)
	}
	return all, nil
}

// playEnd plays an end: the initiator when it is told a peer, else the responder, which prints its address first. Both print
// their results.
func playEnd(args []string) error {
	debug.SetGCPercent(400) // as cmd/netp does for agents
	var p part
	if err := json.Unmarshal([]byte(args[0]), &p); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), p.Limit)
	defer cancel()
	role := engine.Engine.Initiate
	jobs := p.jobs()
	if !p.Peer.IsValid() {
		role = engine.Engine.Respond
		data, err := port.Listen(port.Config{Where: port.Where{Address: p.Local}})
		if err != nil {
			return err
		}
		defer data.Close()
		deadline, _ := ctx.Deadline()
		for i := range jobs {
			accept, err := data.Expect(port.Expectation{ID: jobs[i].ID, Keys: jobs[i].Keys, Until: deadline})
			if err != nil {
				return err
			}
			defer accept.Close()
			jobs[i].Accept = accept
		}
		fmt.Println(data.Addr())
	}
	traffic, err := p.engine()
	if err != nil {
		return err
	}
	results := make([]netp.Result, len(jobs))
	var all sync.WaitGroup
	for i, job := range jobs {
		all.Go(func() { results[i] = role(traffic, ctx, job) })
	}
	all.Wait()
	out := json.NewEncoder(os.Stdout)
	for _, r := range results { // one by one, as agents deliver them
		if err := out.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

func (p part) engine() (engine.Engine, error) {
	for _, e := range agent.Engines() {
		if e.Spec().Kind == p.Kind {
			return e, nil
		}
	}
	return nil, fmt.Errorf("netp has no kind %q", p.Kind)
}

// jobs are the sessions, the same at both ends.
func (p part) jobs() []engine.Job {
	jobs := make([]engine.Job, p.Sessions)
	for i := range jobs {
		id := port.SessionID(i + 1)
		jobs[i] = engine.Job{
			Session: netp.Session{Addr: fmt.Sprintf("speed.%d", i), Kind: p.Kind, Params: p.Params},
			ID:      id, Keys: port.DeriveKeys([]byte("both ends are processes of one measurement"), id),
			Peer: p.Peer, Clock: new(clock.Clock), SameClock: true, Seed: uint64(i + 1), Log: slog.New(slog.DiscardHandler),
		}
	}
	return jobs
}

// value is a metric that is one number.
func value(r netp.Result, name string) float64 {
	if m := r.Metrics[name]; m.Value != nil {
		return *m.Value
	}
	return 0
}
