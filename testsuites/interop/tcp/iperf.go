package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// iperfTool is iperf3 with its arguments.
func iperfTool(name string, streams int, args ...string) tool {
	return tool{name, func(where place, s settings) (sample, error) {
		return runIperf(where, s, streams, args)
	}}
}

// iperfReport is what we read of iperf3's JSON.
type iperfReport struct {
	Error string
	End   struct {
		Received struct {
			Rate  float64 `json:"bits_per_second"`
			Bytes float64 `json:"bytes"`
		} `json:"sum_received"`
		ReceivedBack struct {
			Rate  float64 `json:"bits_per_second"`
			Bytes float64 `json:"bytes"`
		} `json:"sum_received_bidir_reverse"`
		Congestion string `json:"sender_tcp_congestion"`
	}
}

func runIperf(where place, s settings, streams int, args []string) (sample, error) {
	number, err := freePort()
	if err != nil {
		return sample{}, err
	}
	server := where.command(where.serv, s.iperf3, "-s", "-1", "--forceflush", "-p", strconv.Itoa(number))
	out, err := server.StdoutPipe()
	if err != nil {
		return sample{}, err
	}
	if err := server.Start(); err != nil {
		return sample{}, err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), "listening") {
	}
	words := append([]string{s.iperf3, "-c", where.server, "-p", strconv.Itoa(number), "-J", "-t", fmt.Sprint(s.time.Seconds()),
		"-P", strconv.Itoa(streams), "-C", s.congestion}, args...)
	client := where.command(where.clientNS, words...)
	answer, failed := client.Output()
	for lines.Scan() { // until the server closes its output
	}
	if err := await(server, 5*time.Second); err != nil && failed == nil {
		failed = err
	}
	var report iperfReport
	if err := json.Unmarshal(answer, &report); err != nil {
		return sample{}, fmt.Errorf("read its report: %w", err)
	}
	if failed != nil || report.Error != "" {
		return sample{}, fmt.Errorf("%w: %s", failed, report.Error)
	}
	x := sample{
		rate:      report.End.Received.Rate + report.End.ReceivedBack.Rate,
		gigabytes: (report.End.Received.Bytes + report.End.ReceivedBack.Bytes) / 1e9,
		sender:    seconds(client), receiver: seconds(server), congestion: report.End.Congestion,
	}
	if slices.Contains(args, "-R") {
		x.sender, x.receiver = x.receiver, x.sender
	}
	return x, nil
}
