//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netns"
)

// iperfReport is what we read of iperf3's JSON.
type iperfReport struct {
	Error string
	End   struct {
		Received struct {
			Rate  float64 `json:"bits_per_second"`
			Bytes float64 `json:"bytes"`
		} `json:"sum_received"`
		Sum struct {
			Seconds float64 `json:"seconds"`
			Lost    float64 `json:"lost_packets"`
			Packets float64 `json:"packets"`
		} `json:"sum"`
		Congestion string `json:"sender_tcp_congestion"`
	}
}

// iperfRun is one measurement with iperf3.
type iperfRun struct {
	report           iperfReport
	sender, receiver float64 // CPU time [s]
}

// iperf measures with iperf3, client and server, from the near end to the far one. Of hundreds of servers at a time one sometimes finds
// its port taken when it opens it once more for UDP: then it is tried again.
func (b *bench) iperf(ctx context.Context, where place, args ...string) (run iperfRun, err error) {
	for range 3 {
		if run, err = b.iperfOnce(ctx, where, args...); err == nil || !strings.Contains(err.Error(), "Address already in use") {
			break
		}
	}
	return run, err
}

func (b *bench) iperfOnce(ctx context.Context, where place, args ...string) (run iperfRun, err error) {
	ctx, cancel := context.WithTimeout(ctx, b.time+30*time.Second)
	defer cancel()
	server, number, err := b.iperfServer(ctx, where)
	if err != nil {
		return run, err
	}
	words := append([]string{"-c", where.dest, "-p", number, "-J", "-t", strconv.Itoa(int(b.time.Seconds()))}, args...)
	client := exec.CommandContext(ctx, b.iperf3, words...)
	text, failed := output(where.near, client)
	if failed != nil {
		cancel() // ends the server
	}
	if err := server.Wait(); failed == nil {
		failed = err
	}
	if err := json.Unmarshal(text, &run.report); err != nil {
		return run, errors.Join(failed, fmt.Errorf("read its report: %w", err))
	}
	if failed != nil || run.report.Error != "" {
		return run, errors.Join(errors.New(run.report.Error), failed)
	}
	run.sender, run.receiver = processor(client), processor(server)
	return run, nil
}

// iperfServer starts a server for one measurement. It tries some ports: one that was free can be taken by the time it binds it.
func (b *bench) iperfServer(ctx context.Context, where place) (server *exec.Cmd, number string, err error) {
	for range 5 {
		if number, err = b.ports.free(where.far, where.dest); err != nil {
			return nil, "", err
		}
		server, err = listening(ctx, where.far, "Server listening", b.iperf3, "-s", "-1", "-p", number, "-B", where.dest, "--forceflush")
		if err == nil || ctx.Err() != nil || errors.Is(err, exec.ErrNotFound) {
			break
		}
	}
	return server, number, err
}

// listening starts a server and waits for the line in which it says that it listens. Its output is read until it ends.
func listening(ctx context.Context, ns netns.NsHandle, says string, name string, args ...string) (*exec.Cmd, error) {
	c := exec.CommandContext(ctx, name, args...)
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.Stderr = c.Stdout
	if err := start(ns, c); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	last := ""
	for lines.Scan() {
		if last += lines.Text() + " "; strings.Contains(last, says) {
			go io.Copy(io.Discard, out) // ends with the server
			return c, nil
		}
	}
	return nil, fmt.Errorf("%s ended before it listened: %w: %s", name, c.Wait(), last)
}

// Ports for servers, below those that the system gives to clients, so that no client has one of them.
const firstPort, lastPort = 20_000, 30_000

// ports counts the ports that were given out.
type ports struct{ given atomic.Uint32 }

// free is a port that nobody has just now, TCP or UDP.
func (p *ports) free(ns netns.NsHandle, address string) (number string, err error) {
	for range lastPort - firstPort {
		number = strconv.Itoa(firstPort + int(p.given.Add(1)-1)%(lastPort-firstPort))
		err = inside(ns, func() error { return vacant(net.JoinHostPort(address, number)) })
		if err == nil {
			return number, nil
		}
	}
	return "", err
}

func vacant(address string) error {
	stream, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	packets, err := net.ListenPacket("udp", address)
	if err != nil {
		stream.Close()
		return err
	}
	return errors.Join(stream.Close(), packets.Close())
}
