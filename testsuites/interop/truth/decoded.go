//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/engine"
	"github.com/netpupper/netp/agent/port"
	"github.com/netpupper/netp/testsuites/lab"
	"github.com/netpupper/netp/testsuites/lab/emulator"
)

// stampPort is that of STAMP and TWAMP-Light reflectors.
const stampPort = 862

// decodedTable measures to a reflector that is no agent, and has tshark's dissector of TWAMP-Test read the packets of both: the
// sequence numbers must be those that there were, and the stamps those of packets that the line got right afterwards.
func decodedTable(ctx context.Context, l *lab.Lab, _ scale) (table, error) {
	t := table{header: []string{"packets", "sent", "decoded", "numbers right", "from stamp to line p50", "max", ""}}
	if !installed("tshark") {
		t.note("tshark is not installed")
		return t, nil
	}
	p, err := newPath(l)
	if err != nil {
		return t, err
	}
	if err := p.sick(emulator.Impair{Delay: 5 * time.Millisecond}, emulator.Impair{Delay: 5 * time.Millisecond}); err != nil {
		return t, err
	}
	for _, w := range p.line.Both() {
		if err := w.Record(10_000); err != nil {
			return t, err
		}
	}
	const packets = 300
	stop, err := p.reflector()
	if err != nil {
		return t, err
	}
	defer stop()
	filter := fmt.Sprintf("udp port %d", stampPort)
	fields := []string{"udp.dstport", "twamp.test.seq_number", "twamp.test.timestamp", "twamp.test.sender_seq_number", "twamp.test.sender_timestamp"}
	lines, err := p.captured(2*packets, filter, fields, []string{"-d", fmt.Sprintf("udp.port==%d,twamp.test", stampPort)}, func() error {
		r := p.toEndpoint(ctx, netp.Params{"count": float64(packets), "interval": 0.005, "timeout": 1.0})
		if r.Failure != nil {
			return r.Failure
		}
		lost, err := value(r, "loss.count")
		if err == nil && lost != 0 {
			err = fmt.Errorf("%w: %v answers are missing", lab.ErrLate, lost)
		}
		return err
	})
	if err != nil {
		return t, err
	}
	return t, p.decode(&t, lines, packets)
}

// decode compares what tshark read with the line's records.
func (p path) decode(t *table, lines []string, packets int) error {
	there, back, err := p.take()
	if err != nil {
		return err
	}
	arrived := map[uint64]int64{}
	for _, r := range there {
		arrived[uint64(binary.BigEndian.Uint32(r.Head[8:]))] = r.Arrival
	}
	var lags []time.Duration
	sent, answered, right := 0, 0, 0
	stamps := map[string]string{}
	for _, line := range lines {
		f := strings.Split(line, "\t")
		if len(f) != 5 {
			return fmt.Errorf("tshark printed %q", line)
		}
		if f[0] != strconv.Itoa(stampPort) { // an answer repeats the probe's number and stamp
			answered++
			if stamps[f[3]] == f[4] {
				right++
			}
			continue
		}
		at, err := time.Parse("Jan _2, 2006 15:04:05.000000000 MST", f[2])
		number, unread := strconv.ParseUint(f[1], 10, 64)
		if err := errors.Join(err, unread); err != nil {
			return fmt.Errorf("tshark printed %q: %w", line, err)
		}
		sent++
		stamps[f[1]] = f[2]
		lags = append(lags, time.Duration(arrived[number]-at.UnixNano()))
	}
	if len(lags) == 0 {
		return errors.New("tshark decoded nothing")
	}
	kept := sent == packets && len(stamps) == packets && quantile(lags, 0) >= 0 && quantile(lags, 0.5) < time.Millisecond
	t.add(kept, "each decoded, stamped before it left", "netp's probes", fmt.Sprint(len(there)), fmt.Sprint(sent), fmt.Sprint(len(stamps)), fmt.Sprint(quantile(lags, 0.5)), fmt.Sprint(quantile(lags, 1)))
	t.add(right == packets, "each repeats its probe", "answers of a reflector by RFC 8762", fmt.Sprint(len(back)), fmt.Sprint(answered), fmt.Sprint(right), "-", "-")
	return nil
}

// toEndpoint measures from near to the reflector at far.
func (p path) toEndpoint(ctx context.Context, params netp.Params) netp.Result {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	initiator, _, _ := engines("rtt")
	return initiator.Initiate(ctx, engine.Job{
		Session: netp.Session{Addr: "truth", Kind: "rtt", Params: complete("rtt", params), Path: netp.Path{Dest: netip.AddrPortFrom(p.to, stampPort).String(), Endpoint: true}},
		Dialer:  port.Dialer{Where: port.Where{Netns: p.near.Path(), Address: p.from}},
		Clock:   new(clock.Clock), Seed: 1, Log: slog.New(slog.DiscardHandler),
	})
}

// reflector runs a stateful session-reflector at far, made of RFC 8762 §4.3.1 alone, until it is stopped.
func (p path) reflector() (stop func(), err error) {
	conn, err := p.far.Listen(netip.AddrPortFrom(p.to, stampPort))
	if err != nil {
		return nil, err
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		packet := make([]byte, 2000)
		for count := uint32(0); ; count++ {
			n, from, err := conn.ReadFromUDPAddrPort(packet)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil || n < 44 {
				continue
			}
			answer := make([]byte, n)
			binary.BigEndian.PutUint32(answer, count)
			stamp := ntpOf(time.Now())
			binary.BigEndian.PutUint64(answer[4:], stamp)
			binary.BigEndian.PutUint16(answer[12:], 1) // the error estimate's multiplier must not be 0
			binary.BigEndian.PutUint64(answer[16:], stamp)
			copy(answer[24:38], packet[:14]) // number, stamp and error estimate of the sender
			answer[40] = 64
			conn.WriteToUDPAddrPort(answer, from)
		}
	})
	return func() { conn.Close(); serving.Wait() }, nil
}

// ntpOf is a time as an NTP timestamp.
func ntpOf(t time.Time) uint64 {
	const since1900 = 2_208_988_800
	return uint64(t.Unix()+since1900)<<32 | uint64(t.Nanosecond())<<32/1e9
}

// captured has tshark look at near's device while something is done, and gives a line of fields for each packet.
func (p path) captured(packets int, filter string, fields, more []string, do func() error) ([]string, error) {
	args := append([]string{"-l", "-n", "-i", "wan", "-c", strconv.Itoa(packets), "-f", filter, "-T", "fields"}, more...)
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	c := exec.Command("tshark", args...)
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	said, err := c.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.near.Start(c); err != nil {
		return nil, err
	}
	limit := time.AfterFunc(time.Minute, func() { c.Process.Kill() })
	defer limit.Stop()
	notes := bufio.NewScanner(said)
	for notes.Scan() && !strings.Contains(notes.Text(), "Capturing on") {
	}
	time.Sleep(2 * time.Second) // it says so before it has opened the device
	if err := do(); err != nil {
		return nil, errors.Join(err, c.Process.Kill())
	}
	var lines []string
	seen := bufio.NewScanner(out)
	for seen.Scan() {
		lines = append(lines, seen.Text())
	}
	return lines, c.Wait()
}
