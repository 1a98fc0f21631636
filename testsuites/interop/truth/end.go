//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/engine"
	"github.com/netpupper/netp/agent/port"
)

// endName is how this program is called when it is one end of a session, in a process of its own that can be stopped and starved.
const endName = "netp-truth-end"

// end is what such a process plays.
type end struct {
	Kind     netp.Kind
	Params   netp.Params
	Peer     string // of the initiator: the address of the responder
	Sessions int    // beside each other; 0 is one
	Watch    bool   // it has priority, and prints when its threads waited for a processor all the same
}

// job is that of its n-th session, whose keys both ends know.
func (e end) job(n int) engine.Job {
	id := port.SessionID(n + 1)
	return engine.Job{
		Session: netp.Session{Addr: "truth", Kind: e.Kind, Params: complete(e.Kind, e.Params)},
		ID:      id, Keys: port.DeriveKeys([]byte("both ends are processes of one comparison"), id),
		SameClock: true, Seed: uint64(id), Clock: new(clock.Clock), Log: slog.New(slog.DiscardHandler),
	}
}

// playEnd plays the end that standard input describes, and prints its parts of the results. A responder prints its address first.
func playEnd() error {
	var e end
	if err := json.NewDecoder(os.Stdin).Decode(&e); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 6*time.Minute)
	defer cancel()
	jobs := make([]engine.Job, max(e.Sessions, 1))
	for n := range jobs {
		jobs[n] = e.job(n)
	}
	initiator, responder, err := engines(e.Kind)
	if err != nil {
		return err
	}
	if e.Peer != "" {
		peer, err := netip.ParseAddrPort(e.Peer)
		if err != nil {
			return err
		}
		for n := range jobs {
			jobs[n].Peer = peer
		}
		return e.play(ctx, initiator.Initiate, jobs)
	}
	data, err := port.Listen(port.Config{Where: port.Where{Address: farAddress}})
	if err != nil {
		return err
	}
	defer data.Close()
	for n := range jobs {
		j := &jobs[n]
		if j.Accept, err = data.Expect(port.Expectation{ID: j.ID, Keys: j.Keys, Until: time.Now().Add(time.Minute)}); err != nil {
			return err
		}
	}
	fmt.Println(data.Addr())
	return e.play(ctx, responder.Respond, jobs)
}

// play plays all sessions, and prints their parts and when the process had to wait.
func (e end) play(ctx context.Context, role func(context.Context, engine.Job) netp.Result, jobs []engine.Job) error {
	watched := func() []span { return nil }
	if e.Watch {
		precedeAll()
		watched = watchThreads()
	}
	parts := make([]netp.Result, len(jobs))
	var all sync.WaitGroup
	for n, j := range jobs {
		all.Go(func() { parts[n] = role(ctx, j) })
	}
	all.Wait()
	out := json.NewEncoder(os.Stdout)
	return errors.Join(out.Encode(parts), out.Encode(watched()))
}

// startEnd starts an end in a node; its output comes through the reader.
func (p path) startEnd(e end) (*exec.Cmd, *bufio.Reader, error) {
	text, err := json.Marshal(e)
	if err != nil {
		return nil, nil, err
	}
	c := &exec.Cmd{Path: "/proc/self/exe", Args: []string{endName}, Stdin: strings.NewReader(string(text)), Stderr: os.Stderr}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	node := p.near
	if e.Peer == "" {
		node = p.far
	}
	return c, bufio.NewReader(out), node.Start(c)
}

// ends runs a session between two processes. During is called when both run, and must return soon.
func (p path) ends(kind netp.Kind, params netp.Params, during func(near, far *os.Process)) (netp.Result, error) {
	ours, theirs, _, err := p.pair(end{Kind: kind, Params: params}, during)
	if err != nil {
		return netp.Result{}, err
	}
	ours[0].Part, theirs[0].Part = netp.Initiator, netp.Responder
	return netp.Merge(ours[0], theirs[0]), nil
}

// pair runs sessions between two processes, and gives the parts of both, and when threads of the responder waited.
func (p path) pair(e end, during func(near, far *os.Process)) (ours, theirs []netp.Result, waits []span, err error) {
	responder, far, err := p.startEnd(e)
	if err != nil {
		return nil, nil, nil, err
	}
	address, err := far.ReadString('\n')
	if err != nil {
		return nil, nil, nil, errors.Join(fmt.Errorf("the responder did not start: %w", err), responder.Wait())
	}
	e.Peer = strings.TrimSpace(address)
	initiator, near, err := p.startEnd(e)
	if err != nil {
		return nil, nil, nil, errors.Join(err, responder.Process.Kill(), responder.Wait())
	}
	during(initiator.Process, responder.Process)
	said := json.NewDecoder(far)
	err = errors.Join(json.NewDecoder(near).Decode(&ours), said.Decode(&theirs), said.Decode(&waits))
	io.Copy(io.Discard, near)
	io.Copy(io.Discard, far)
	err = errors.Join(err, initiator.Wait(), responder.Wait())
	if n := max(e.Sessions, 1); err == nil && (len(ours) != n || len(theirs) != n) {
		err = fmt.Errorf("%d and %d parts of %d sessions", len(ours), len(theirs), n)
	}
	return ours, theirs, waits, err
}

// halfEnds runs a session whose responder does not live to tell its part.
func (p path) halfEnds(kind netp.Kind, params netp.Params, during func(far *os.Process)) (netp.Result, error) {
	var r netp.Result
	e := end{Kind: kind, Params: params}
	responder, theirs, err := p.startEnd(e)
	if err != nil {
		return r, err
	}
	defer responder.Wait()
	defer responder.Process.Kill()
	address, err := theirs.ReadString('\n')
	if err != nil {
		return r, fmt.Errorf("the responder did not start: %w", err)
	}
	e.Peer = strings.TrimSpace(address)
	initiator, ours, err := p.startEnd(e)
	if err != nil {
		return r, err
	}
	during(responder.Process)
	var parts []netp.Result
	err = json.NewDecoder(ours).Decode(&parts)
	io.Copy(io.Discard, ours)
	if err = errors.Join(err, initiator.Wait()); err == nil {
		r = parts[0]
	}
	return r, err
}
