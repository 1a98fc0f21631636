package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var pingTime = regexp.MustCompile(`time=([0-9.]+) ms`)

// runPing is iputils' ping: its stamps are the kernel's, and the kernel answers.
func runPing(ctx context.Context, count int, interval time.Duration) ([]row, error) {
	out, err := exec.CommandContext(ctx, "ping", "-n", "-c", strconv.Itoa(count), "-i", seconds(interval), target).Output()
	r := row{tool: "ping", what: "ICMP, kernel to kernel", sent: count}
	for _, m := range pingTime.FindAllSubmatch(out, -1) {
		r.delays = append(r.delays, milliseconds(string(m[1])))
	}
	if len(r.delays) == 0 {
		return nil, fmt.Errorf("no delays: %w", orNothing(err))
	}
	return []row{r}, nil
}

// runFping is fping.
func runFping(ctx context.Context, count int, interval time.Duration) ([]row, error) {
	cmd := exec.CommandContext(ctx, "fping", "-q", "-C", strconv.Itoa(count), "-p", fmt.Sprint(interval.Milliseconds()), "-t", "2000", target)
	var report bytes.Buffer
	cmd.Stderr = &report
	err := cmd.Run()
	_, list, _ := strings.Cut(report.String(), " : ")
	r := row{tool: "fping", what: "ICMP, kernel to kernel", sent: count}
	for field := range strings.FieldsSeq(list) {
		if field != "-" {
			r.delays = append(r.delays, milliseconds(field))
		}
	}
	if len(r.delays) == 0 {
		return nil, fmt.Errorf("no delays: %w", orNothing(err))
	}
	return []row{r}, nil
}

// runIrtt is irtt, client and server: it takes the server's own time out, by the clocks of both programs.
func runIrtt(ctx context.Context, count int, interval time.Duration) ([]row, error) {
	ctx, cancel := context.WithCancel(ctx)
	address := target + ":21112"
	server := exec.CommandContext(ctx, "irtt", "server", "-b", address, "-i", "0")
	if err := server.Start(); err != nil {
		cancel()
		return nil, err
	}
	defer func() { cancel(); server.Wait() }()
	length := time.Duration(count) * interval
	var out []byte
	var err error
	for range 30 { // until the server listens
		out, err = exec.CommandContext(ctx, "irtt", "client", "-Q", "-i", interval.String(), "-d", length.String(), "-o", "-", address).Output()
		if err == nil || ctx.Err() != nil {
			break
		}
		<-time.After(100 * time.Millisecond)
	}
	if err != nil {
		return nil, err
	}
	var report struct {
		RoundTrips []struct {
			Lost  string
			Delay struct{ RTT int64 }
		} `json:"round_trips"`
	}
	if i := bytes.IndexByte(out, '{'); i > 0 {
		out = out[i:]
	}
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&report); err != nil {
		return nil, err
	}
	r := row{tool: "irtt", what: "UDP, program to program, server's time removed", sent: len(report.RoundTrips)}
	for _, trip := range report.RoundTrips {
		if trip.Lost == "false" {
			r.delays = append(r.delays, time.Duration(trip.Delay.RTT))
		}
	}
	return []row{r}, nil
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }

func milliseconds(s string) time.Duration {
	ms, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0
	}
	return time.Duration(ms * 1e6)
}

// orNothing is an error also when the program gave none.
func orNothing(err error) error {
	if err == nil {
		return fmt.Errorf("the program printed none")
	}
	return err
}
