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
	Kind   netp.Kind
	Params netp.Params
	Peer   string // of the initiator: the address of the responder
	Watch  bool   // it has priority, and prints when its threads waited for a processor all the same
}

// endKeys are those of the one session that both ends know.
var endKeys = port.DeriveKeys([]byte("both ends are processes of one comparison"), 1)

// playEnd plays the end that standard input describes, and prints its part of the result. A responder prints its address first.
func playEnd() error {
	var e end
	if err := json.NewDecoder(os.Stdin).Decode(&e); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	job := engine.Job{
		Session: netp.Session{Addr: "truth", Kind: e.Kind, Params: complete(e.Kind, e.Params)},
		ID:      1, Keys: endKeys, SameClock: true, Seed: 1, Clock: new(clock.Clock), Log: slog.New(slog.DiscardHandler),
	}
	initiator, responder, err := engines(e.Kind)
	if err != nil {
		return err
	}
	if e.Peer != "" {
		if job.Peer, err = netip.ParseAddrPort(e.Peer); err != nil {
			return err
		}
		return e.play(initiator.Initiate, ctx, job)
	}
	data, err := port.Listen(port.Config{Where: port.Where{Address: farAddress}})
	if err != nil {
		return err
	}
	defer data.Close()
	if job.Accept, err = data.Expect(port.Expectation{ID: 1, Keys: endKeys, Until: time.Now().Add(time.Minute)}); err != nil {
		return err
	}
	fmt.Println(data.Addr())
	return e.play(responder.Respond, ctx, job)
}

// play plays the end, and prints its part and when it had to wait.
func (e end) play(role func(context.Context, engine.Job) netp.Result, ctx context.Context, job engine.Job) error {
	watched := func() []span { return nil }
	if e.Watch {
		precedeAll()
		watched = watchThreads()
	}
	out := json.NewEncoder(os.Stdout)
	return errors.Join(out.Encode(role(ctx, job)), out.Encode(watched()))
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
	parts, _, err := p.pair(end{Kind: kind, Params: params}, during)
	if err != nil {
		return netp.Result{}, err
	}
	return netp.Merge(parts[:]...), nil
}

// pair is ends, with the two parts apart, and when threads of the responder waited.
func (p path) pair(e end, during func(near, far *os.Process)) (parts [2]netp.Result, waits []span, err error) {
	responder, theirs, err := p.startEnd(e)
	if err != nil {
		return parts, nil, err
	}
	address, err := theirs.ReadString('\n')
	if err != nil {
		return parts, nil, errors.Join(fmt.Errorf("the responder did not start: %w", err), responder.Wait())
	}
	e.Peer = strings.TrimSpace(address)
	initiator, ours, err := p.startEnd(e)
	if err != nil {
		return parts, nil, errors.Join(err, responder.Process.Kill(), responder.Wait())
	}
	during(initiator.Process, responder.Process)
	far := json.NewDecoder(theirs)
	failed := errors.Join(json.NewDecoder(ours).Decode(&parts[0]), far.Decode(&parts[1]), far.Decode(&waits))
	io.Copy(io.Discard, ours)
	io.Copy(io.Discard, theirs)
	if failed = errors.Join(failed, initiator.Wait(), responder.Wait()); failed != nil {
		return parts, nil, failed
	}
	parts[0].Part, parts[1].Part = netp.Initiator, netp.Responder
	return parts, waits, nil
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
	err = json.NewDecoder(ours).Decode(&r)
	io.Copy(io.Discard, ours)
	return r, errors.Join(err, initiator.Wait())
}
