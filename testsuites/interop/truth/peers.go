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
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/netpupper/netp/testsuites/lab"
)

// found is what a program said of a path.
type found struct {
	sent                      int
	lostForward, lostBackward int // −1: it does not know
	lost                      int // of round trips
	delays                    []time.Duration
}

// median of the delays.
func (f found) median() time.Duration {
	if len(f.delays) == 0 {
		return 0
	}
	slices.Sort(f.delays)
	return f.delays[len(f.delays)/2]
}

// peer is a program that people trust.
type peer struct {
	name string
	run  func(ctx context.Context, p path, packets int, interval time.Duration) (found, error)
}

// installed says whether a program is there.
func installed(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
}

// serve starts a program in a node and waits until it says that it listens. It ends with stop.
func serve(n *lab.Node, says string, words ...string) (running *os.Process, stop func(), err error) {
	c := exec.Command(words[0], words[1:]...)
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	c.Stderr = c.Stdout
	if err := n.Start(c); err != nil {
		return nil, nil, err
	}
	stop = func() { c.Process.Kill(); c.Wait() }
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if strings.Contains(line, says) {
			go io.Copy(io.Discard, lines)
			return c.Process, stop, nil
		}
		if err != nil {
			stop()
			return nil, nil, fmt.Errorf("%s ended before it listened: %s", words[0], line)
		}
	}
}

// runIrtt is irtt: UDP round trips that tell the directions apart by what its server counts.
func runIrtt(_ context.Context, p path, packets int, interval time.Duration) (found, error) {
	_, stop, err := p.irttServer()
	if err != nil {
		return found{}, err
	}
	defer stop()
	c, out, err := p.irttClient(interval, time.Duration(packets)*interval, dataSize)
	if err != nil {
		return found{}, err
	}
	f, err := readIrtt(out)
	return f, errors.Join(err, c.Wait())
}

// irttPort is where its server listens.
const irttPort = 2112

// irttServer starts its server.
func (p path) irttServer() (*os.Process, func(), error) {
	return serve(p.far, "starting", "irtt", "server", "-b", netip.AddrPortFrom(p.to, irttPort).String(), "-i", "0")
}

// irttClient starts its client.
func (p path) irttClient(interval, length time.Duration, size int) (*exec.Cmd, io.Reader, error) {
	c := exec.Command("irtt", "client", "-Q", "-i", interval.String(), "-d", length.String(), "-l", strconv.Itoa(size), "--wait=1s", "-o", "-", netip.AddrPortFrom(p.to, irttPort).String())
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	return c, out, p.near.Start(c)
}

// readIrtt reads its report.
func readIrtt(out io.Reader) (found, error) {
	text, err := io.ReadAll(out)
	if err != nil {
		return found{}, err
	}
	if i := bytes.IndexByte(text, '{'); i > 0 {
		text = text[i:]
	}
	var report struct {
		Stats struct {
			Sent       int `json:"packets_sent"`
			Received   int `json:"packets_received"`
			ServerSeen int `json:"server_packets_received"`
		} `json:"stats"`
		RoundTrips []struct {
			Lost  string
			Delay struct{ RTT int64 }
		} `json:"round_trips"`
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&report); err != nil {
		return found{}, fmt.Errorf("read irtt's report: %w: %.200s", err, text)
	}
	s := report.Stats
	f := found{sent: s.Sent, lost: s.Sent - s.Received, lostForward: s.Sent - s.ServerSeen, lostBackward: s.ServerSeen - s.Received}
	for _, trip := range report.RoundTrips {
		if trip.Lost == "false" {
			f.delays = append(f.delays, time.Duration(trip.Delay.RTT))
		}
	}
	return f, nil
}

// runFping is fping. In its count mode the timeout follows the period unless -t says otherwise.
func runFping(_ context.Context, p path, packets int, interval time.Duration) (found, error) {
	text, err := p.near.Run("fping", "-q", "-C", strconv.Itoa(packets), "-p", strconv.FormatFloat(float64(interval)/1e6, 'f', -1, 64),
		"-b", strconv.Itoa(dataSize), "-t", "2000", p.to.String())
	_, list, ok := strings.Cut(string(text), " : ")
	if !ok {
		return found{}, errors.Join(err, fmt.Errorf("fping said %q", text))
	}
	f := found{sent: packets, lostForward: -1, lostBackward: -1}
	for field := range strings.FieldsSeq(list) {
		if ms, err := strconv.ParseFloat(field, 64); err == nil {
			f.delays = append(f.delays, time.Duration(ms*1e6))
		}
	}
	f.lost = packets - len(f.delays)
	return f, nil
}

// runScamper is scamper, which pings by ICMP, ten times a second at most, and prints each round trip to a microsecond. Its size is
// that of the IP packet.
func runScamper(_ context.Context, p path, packets int, _ time.Duration) (found, error) {
	packets = min(packets, 100)
	text, err := p.near.Run("scamper", "-O", "json", "-p", "100", "-I", fmt.Sprintf("ping -c %d -i 0.1 -s %d %s", packets, dataSize+p.headers(), p.to))
	f := found{sent: packets, lostForward: -1, lostBackward: -1}
	for line := range strings.SplitSeq(string(text), "\n") {
		var report struct {
			Type      string
			Sent      int `json:"ping_sent"`
			Responses []struct{ RTT float64 }
		}
		if json.Unmarshal([]byte(line), &report) != nil || report.Type != "ping" {
			continue
		}
		f.sent = report.Sent
		for _, r := range report.Responses {
			f.delays = append(f.delays, time.Duration(r.RTT*1e6))
		}
	}
	if len(f.delays) == 0 {
		return f, errors.Join(err, fmt.Errorf("scamper said %q", text))
	}
	f.lost = f.sent - len(f.delays)
	return f, nil
}

var mtrLine = regexp.MustCompile(`(?m)^\s*1\.\|-- \S+\s+([0-9.]+)%?\s+([0-9]+)`)

// runMtr is mtr. It prints its share of losses with one digit behind the point.
func runMtr(_ context.Context, p path, packets int, interval time.Duration) (found, error) {
	text, err := p.near.Run("mtr", "-n", "-r", "-c", strconv.Itoa(packets), "-i", strconv.FormatFloat(interval.Seconds(), 'f', -1, 64),
		"-s", strconv.Itoa(dataSize+p.headers()), "-G", "2", p.to.String())
	m := mtrLine.FindSubmatch(text)
	if m == nil {
		return found{}, errors.Join(err, fmt.Errorf("mtr said %q", text))
	}
	percent, _ := strconv.ParseFloat(string(m[1]), 64)
	sent, _ := strconv.Atoi(string(m[2]))
	return found{sent: sent, lost: int(percent/100*float64(sent) + 0.5), lostForward: -1, lostBackward: -1}, nil
}

// iperfReport is what is read of iperf3's JSON.
type iperfReport struct {
	Error string
	End   struct {
		Forward  iperfSum `json:"sum_received"`
		Backward iperfSum `json:"sum_received_bidir_reverse"`
		UDP      iperfSum `json:"sum"`
		UDPBack  iperfSum `json:"sum_bidir_reverse"`
	}
}

type iperfSum struct {
	Rate    float64 `json:"bits_per_second"`
	Packets float64 `json:"packets"`
	Lost    float64 `json:"lost_packets"`
}

// iperf runs a client of iperf3 with these arguments, and a server for it.
func iperf(p path, args ...string) (iperfReport, error) {
	var report iperfReport
	_, stop, err := serve(p.far, "Server listening", "iperf3", "-s", "-1", "--forceflush")
	if err != nil {
		return report, err
	}
	defer stop()
	text, err := p.near.Run("iperf3", append([]string{"-c", p.to.String(), "-J"}, args...)...)
	if i := bytes.IndexByte(text, '{'); i >= 0 {
		text = text[i:]
	}
	if parsed := json.NewDecoder(bytes.NewReader(text)).Decode(&report); parsed != nil {
		return report, errors.Join(err, fmt.Errorf("read iperf3's report: %w", parsed))
	}
	if report.Error != "" {
		return report, fmt.Errorf("iperf3: %s", report.Error)
	}
	return report, err
}

// runIperf is iperf3 -u in both directions at once.
func runIperf(_ context.Context, p path, packets int, interval time.Duration) (found, error) {
	seconds := max(1, int(time.Duration(packets)*interval/time.Second))
	rate := float64(dataSize*8) / interval.Seconds()
	r, err := iperf(p, "-u", "--bidir", "-l", strconv.Itoa(dataSize), "-b", strconv.FormatFloat(rate, 'f', 0, 64), "-t", strconv.Itoa(seconds), "-w", "1M")
	if err != nil {
		return found{}, err
	}
	f := found{sent: int(r.End.UDP.Packets), lostForward: int(r.End.UDP.Lost), lostBackward: int(r.End.UDPBack.Lost), lost: -1}
	return f, nil
}
