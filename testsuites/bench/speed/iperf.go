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

// iperf measures with iperf3, client and server, from the near end to the far one.
func (b *bench) iperf(ctx context.Context, where place, args ...string) (run iperfRun, err error) {
	ctx, cancel := context.WithTimeout(ctx, b.time+30*time.Second)
	defer cancel()
	number, err := freePort(where.far, where.dest)
	if err != nil {
		return run, err
	}
	server, err := listening(ctx, where.far, "Server listening", b.iperf3, "-s", "-1", "-p", number, "-B", where.dest, "--forceflush")
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
		return run, fmt.Errorf("%s: %w", run.report.Error, failed)
	}
	run.sender, run.receiver = processor(client), processor(server)
	return run, nil
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
	for lines.Scan() {
		if strings.Contains(lines.Text(), says) {
			go io.Copy(io.Discard, out) // ends with the server
			return c, nil
		}
	}
	return nil, fmt.Errorf("%s ended before it listened: %w", name, c.Wait())
}

// freePort is a TCP port that nobody has just now.
func freePort(ns netns.NsHandle, address string) (number string, err error) {
	err = inside(ns, func() error {
		l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
		if err != nil {
			return err
		}
		defer l.Close()
		number = strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
		return nil
	})
	return number, err
}
