package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/engine"
	"github.com/netpupper/netp/agent/engine/rtt"
	"github.com/netpupper/netp/agent/engine/rtt/stamp"
	"github.com/netpupper/netp/agent/port"
)

// runNetp runs a session between two agents in this process, with an onlooker, and one of each other mode.
func runNetp(ctx context.Context, count int, interval time.Duration) ([]row, error) {
	params := netp.Params{"count": float64(count), "interval": interval.Seconds(), "timeout": 2.0, "mode": "stamp"}
	far, err := port.Listen(port.Config{Where: port.Where{Address: netip.MustParseAddr(target)}})
	if err != nil {
		return nil, err
	}
	defer far.Close()
	watch, err := startOnlooker(ctx, far.Addr().Port(), 2*count)
	if err != nil {
		fmt.Printf("no oracle: %v\n", err)
	}
	rows, err := betweenAgents(ctx, far, params)
	if err != nil {
		return nil, err
	}
	if watch != nil {
		seen, err := watch.row(count)
		if err != nil {
			return rows, err
		}
		rows = append(rows, seen)
	}
	params = netp.Params{"count": float64(count), "interval": interval.Seconds(), "timeout": 2.0, "mode": "icmp"}
	ping := new(rtt.Engine).Initiate(ctx, engine.Job{
		Session: netp.Session{Kind: rtt.Kind, Params: params, Path: netp.Path{Dest: target, Endpoint: true}}, Clock: new(clock.Clock), Seed: 1,
	})
	if ping.Failure != nil {
		return rows, ping.Failure
	}
	return append(rows, metricRow(ping, "rtt", "ICMP, kernel to kernel")), nil
}

func betweenAgents(ctx context.Context, far *port.Port, params netp.Params) ([]row, error) {
	secret := make([]byte, 32)
	rand.Read(secret)
	id := port.SessionID(1)
	keys := port.DeriveKeys(secret, id)
	accept, err := far.Expect(port.Expectation{ID: id, Keys: keys, Until: time.Now().Add(time.Hour)})
	if err != nil {
		return nil, err
	}
	defer accept.Close()
	j := engine.Job{Session: netp.Session{Kind: rtt.Kind, Params: params}, ID: id, Keys: keys, Peer: far.Addr(), Accept: accept, Clock: new(clock.Clock), Seed: 1}
	var reflecting sync.WaitGroup
	reflecting.Go(func() { new(rtt.Engine).Respond(ctx, j) })
	r := new(rtt.Engine).Initiate(ctx, j)
	reflecting.Wait()
	if r.Failure != nil {
		return nil, r.Failure
	}
	return []row{
		metricRow(r, "rtt", "STAMP, network (reflector's time removed)"),
		metricRow(r, "rtt_user", "STAMP, program to program"),
	}, nil
}

// metricRow makes a row of a distribution.
func metricRow(r netp.Result, metric, what string) row {
	out := row{tool: "netp", what: what, sent: int(*r.Metrics["loss.sent"].Value)}
	for _, b := range r.Metrics[metric].Distribution.All.Buckets() {
		for range b.Count {
			out.delays = append(out.delays, time.Duration(b.Low+(b.High-b.Low)/2))
		}
	}
	return out
}

// onlooker is tshark, which captures the packets of a session.
type onlooker struct {
	cmd *exec.Cmd
	out io.ReadCloser
}

// startOnlooker returns when tshark captures. It ends by itself after as many packets of probes and answers.
func startOnlooker(ctx context.Context, number uint16, packets int) (*onlooker, error) {
	cmd := exec.CommandContext(ctx, "tshark", "-l", "-n", "-i", "lo", "-c", strconv.Itoa(packets),
		"-f", fmt.Sprintf("udp port %d and udp[4:2] = %d", number, 8+stamp.LeastSealed),
		"-T", "fields", "-e", "frame.time_epoch", "-e", "udp.srcport", "-e", "udp.payload")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	said, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "Capturing on") {
			go io.Copy(io.Discard, said)
			// tshark says so before its capture process has opened the device.
			select {
			case <-time.After(2 * time.Second):
			case <-ctx.Done():
			}
			return &onlooker{cmd, out}, nil
		}
	}
	return nil, fmt.Errorf("tshark does not capture: %w", orNothing(cmd.Wait()))
}

// row is what the onlooker measured: from seeing the probe to seeing the answer, without the stay that the answer states.
func (o *onlooker) row(count int) (row, error) {
	r := row{tool: "tshark", what: "the same STAMP packets, seen by an onlooker", sent: count}
	asked := map[string]time.Duration{}
	lines := bufio.NewScanner(o.out)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		if len(fields) != 3 {
			continue
		}
		at, payload, err := parse(fields)
		if err != nil {
			return row{}, err
		}
		number := func(from, to int) string { return string(payload[from:to]) }
		// Offsets of RFC 8762's authenticated packets, written out here: an oracle does not use the code it checks.
		if before, ok := asked[number(48, 52)+number(64, 72)]; ok {
			r.delays = append(r.delays, at-before-(ntp(payload[16:])-ntp(payload[32:])))
			continue
		}
		asked[number(0, 4)+number(16, 24)] = at
	}
	return r, o.cmd.Wait()
}

func parse(fields []string) (time.Duration, []byte, error) {
	whole, fraction, _ := strings.Cut(fields[0], ".")
	s, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return 0, nil, err
	}
	ns, err := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
	if err != nil {
		return 0, nil, err
	}
	payload, err := hex.DecodeString(fields[2])
	if err == nil && len(payload) != stamp.LeastSealed {
		err = fmt.Errorf("a packet of %d bytes", len(payload))
	}
	return time.Duration(s*1e9 + ns), payload, err
}

// ntp reads an NTP timestamp, as a time since 1900.
func ntp(b []byte) time.Duration {
	var seconds, fraction int64
	for i := range 4 {
		seconds, fraction = seconds<<8|int64(b[i]), fraction<<8|int64(b[4+i])
	}
	return time.Duration(seconds*1e9 + fraction*1e9>>32)
}
