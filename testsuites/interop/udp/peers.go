//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// program is the path of a peer, from the environment or the search path.
func program(variable, name string) string {
	if p := os.Getenv(variable); p != "" {
		return p
	}
	return name
}

func isMissing(err error) bool { return errors.Is(err, exec.ErrNotFound) }

// freePort is a port that nobody has just now.
func freePort() (string, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), nil
}

// server starts a peer's server and waits for the line in which it says that it listens.
func server(ctx context.Context, says string, name string, args ...string) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.Contains(lines.Text(), says) {
			go func() {
				for lines.Scan() { // until it ends: it must not block on a full pipe
				}
			}()
			return cmd, nil
		}
	}
	return nil, fmt.Errorf("%s ended before it listened: %w", name, cmd.Wait())
}

// runIperf measures with iperf3 -u, buffers as large as netp's ordinary ones.
func runIperf(ctx context.Context, t traffic) (measurement, error) {
	ctx, cancel := context.WithTimeout(ctx, duration(t.seconds)+30*time.Second)
	defer cancel()
	number, err := freePort()
	if err != nil {
		return measurement{}, err
	}
	path := program("IPERF3", "iperf3")
	listening, err := server(ctx, "Server listening", path, "-s", "-1", "-p", number, "-B", "127.0.0.1", "--forceflush")
	if err != nil {
		return measurement{}, err
	}
	client := exec.CommandContext(ctx, path, "-u", "-c", "127.0.0.1", "-p", number, "-l", strconv.Itoa(t.size),
		"-b", strconv.FormatFloat(t.pps*float64(t.size)*8, 'f', 0, 64), "-t", strconv.FormatFloat(t.seconds, 'f', 0, 64), "-w", "4M", "-J")
	text, err := client.Output()
	if err != nil {
		cancel()
		return measurement{}, errors.Join(fmt.Errorf("%w: %s", err, bytes.TrimSpace(text)), listening.Wait())
	}
	if err := listening.Wait(); err != nil {
		return measurement{}, err
	}
	var report struct {
		End struct {
			Sum struct {
				Seconds     float64 `json:"seconds"`
				Jitter      float64 `json:"jitter_ms"`
				Lost        float64 `json:"lost_packets"`
				Packets     float64 `json:"packets"`
				LostPercent float64 `json:"lost_percent"`
			} `json:"sum"`
		} `json:"end"`
	}
	if err := json.Unmarshal(text, &report); err != nil {
		return measurement{}, err
	}
	sum := report.End.Sum
	received := sum.Packets - sum.Lost
	return measurement{
		sent: sum.Packets, received: received, lossPercent: sum.LostPercent,
		rate: received * float64(t.size) * 8 / sum.Seconds, jitter: sum.Jitter * 1e-3, delay: math.NaN(),
		cpu:  float64(processorTime(client)+processorTime(listening)) / received,
		note: "-w 4M",
	}, nil
}

// runIrtt measures with irtt, whose packets come back: its one-way figures are those of the way out.
func runIrtt(ctx context.Context, t traffic) (measurement, error) {
	ctx, cancel := context.WithTimeout(ctx, duration(t.seconds)+30*time.Second)
	defer cancel()
	number, err := freePort()
	if err != nil {
		return measurement{}, err
	}
	path := program("IRTT", "irtt")
	address := "127.0.0.1:" + number
	listening, err := server(ctx, "starting", path, "server", "-b", address, "-i", "0")
	if err != nil {
		return measurement{}, err
	}
	client := exec.CommandContext(ctx, path, "client", "-i", duration(1/t.pps).String(), "-d", duration(t.seconds).String(),
		"-l", strconv.Itoa(t.size), "-q", "-o", "-", "-Q", address)
	text, err := client.Output()
	if stopped := listening.Process.Signal(os.Interrupt); err != nil || stopped != nil {
		cancel()
		return measurement{}, errors.Join(err, stopped, listening.Wait())
	}
	_ = listening.Wait() // it ends with the signal
	var report struct {
		Stats struct {
			Sent     float64 `json:"packets_sent"`
			Received float64 `json:"server_packets_received"`
			Delay    struct {
				Median float64 `json:"median"`
			} `json:"send_delay"`
			Variation struct {
				Mean float64 `json:"mean"`
			} `json:"ipdv_send"`
		} `json:"stats"`
	}
	if err := json.Unmarshal(text, &report); err != nil {
		return measurement{}, fmt.Errorf("%w: %.200s", err, text)
	}
	s := report.Stats
	return measurement{
		sent: s.Sent, received: s.Received, lossPercent: 100 * (s.Sent - s.Received) / s.Sent,
		rate: s.Received * float64(t.size) * 8 / t.seconds, delay: s.Delay.Median * 1e-9, jitter: s.Variation.Mean * 1e-9,
		cpu:  float64(processorTime(client)+processorTime(listening)) / s.Received,
		note: "round trips; jitter is its mean IPDV",
	}, nil
}
