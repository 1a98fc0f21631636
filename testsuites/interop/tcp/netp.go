package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/engine"
	"github.com/netpupper/netp/agent/engine/tcp"
	"github.com/netpupper/netp/agent/port"
)

// endCommand is the first argument of this program when it plays one end of a session for itself.
const endCommand = "play-one-end"

// netpTool is netp's engine with its parameters.
func netpTool(receive string, streams int, direction string) tool {
	name := fmt.Sprintf("netp %s x%d %s", receive, streams, direction)
	return tool{name, func(where place, s settings) (sample, error) {
		return runNetp(where, netp.Params{
			"duration": s.time.Seconds(), "streams": float64(streams), "direction": direction,
			"receive": receive, "congestion": s.congestion,
		})
	}}
}

// runNetp plays both ends in processes of their own.
func runNetp(where place, params netp.Params) (sample, error) {
	self, err := os.Executable()
	if err != nil {
		return sample{}, err
	}
	encoded, err := json.Marshal(params)
	if err != nil {
		return sample{}, err
	}
	responder := where.command(where.serv, self, endCommand, where.server, string(encoded))
	responder.Stderr = os.Stderr
	out, err := responder.StdoutPipe()
	if err != nil {
		return sample{}, err
	}
	if err := responder.Start(); err != nil {
		return sample{}, err
	}
	output := bufio.NewReader(out)
	address, err := output.ReadString('\n')
	if err != nil {
		responder.Wait()
		return sample{}, fmt.Errorf("the responder did not start: %w", err)
	}
	initiator := where.command(where.clientNS, self, endCommand, where.server, string(encoded), strings.TrimSpace(address))
	initiator.Stderr = os.Stderr
	ours, err := initiator.Output()
	if err != nil {
		responder.Process.Kill()
		responder.Wait()
		return sample{}, err
	}
	theirs, err := io.ReadAll(output)
	if err != nil {
		return sample{}, err
	}
	if err := await(responder, 5*time.Second); err != nil {
		return sample{}, err
	}
	return evaluate(params, ours, theirs, seconds(initiator), seconds(responder))
}

// evaluate makes a sample of the two parts of a result.
func evaluate(params netp.Params, ours, theirs []byte, initiator, responder float64) (sample, error) {
	var parts [2]netp.Result
	for i, b := range [][]byte{ours, theirs} {
		if err := json.NewDecoder(bytes.NewReader(b)).Decode(&parts[i]); err != nil {
			return sample{}, fmt.Errorf("read the result of an end: %w", err)
		}
	}
	r := netp.Merge(parts[:]...)
	if r.Failure != nil {
		return sample{}, r.Failure
	}
	x := sample{sender: initiator, receiver: responder}
	if params.Direction() == netp.Reverse {
		x.sender, x.receiver = responder, initiator
	}
	for name, m := range r.Metrics {
		if strings.HasSuffix(name, "throughput") {
			rate := m.Distribution.Member("mean")
			x.rate += rate
			x.gigabytes += rate * r.Measured.Seconds() / 8e9
		}
	}
	for name, fact := range r.Facts {
		if strings.HasSuffix(name, "congestion") {
			x.congestion = fact
		}
	}
	return x, nil
}

// session is the one session that both ends know.
const session = port.SessionID(1)

// playEnd plays the responder (address to listen on, parameters) or the initiator (the same, and the responder's port) and
// prints its part of the result. The responder prints its address first.
func playEnd(args []string) error {
	var params netp.Params
	if err := json.Unmarshal([]byte(args[1]), &params); err != nil {
		return err
	}
	job := engine.Job{
		Session: netp.Session{Addr: "interop", Kind: tcp.Kind, Params: params},
		ID:      session, Keys: port.DeriveKeys([]byte("both ends are processes of one comparison"), session),
		Clock: new(clock.Clock), Log: slog.New(slog.DiscardHandler),
	}
	ctx, cancel := context.WithTimeout(context.Background(), params.Duration("duration")+30*time.Second)
	defer cancel()
	if len(args) == 2 {
		return respond(ctx, job, args[0])
	}
	peer, err := netip.ParseAddrPort(args[2])
	if err != nil {
		return err
	}
	job.Peer = peer
	return json.NewEncoder(os.Stdout).Encode(new(tcp.Engine).Initiate(ctx, job))
}

func respond(ctx context.Context, job engine.Job, address string) error {
	local, err := netip.ParseAddr(address)
	if err != nil {
		return err
	}
	p, err := port.Listen(port.Config{Where: port.Where{Address: local}})
	if err != nil {
		return err
	}
	defer p.Close()
	deadline, _ := ctx.Deadline()
	job.Accept, err = p.Expect(port.Expectation{ID: job.ID, Keys: job.Keys, Until: deadline})
	if err != nil {
		return err
	}
	fmt.Println(p.Addr())
	return json.NewEncoder(os.Stdout).Encode(new(tcp.Engine).Respond(ctx, job))
}
