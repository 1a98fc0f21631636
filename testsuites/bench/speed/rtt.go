//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/engine/rtt"
)

var rttColumns = []column{
	{name: "p50 µs", ratio: true, better: "lower"},
	{name: "p99 µs", ratio: true, better: "lower"},
	{name: "max µs"}, {name: "lost %"},
}

// quantiles are the figures of round trips [µs].
func quantiles(all []float64, sent int) figures {
	if len(all) == 0 {
		return figures{"lost %": 100}
	}
	slices.Sort(all)
	n := len(all)
	return figures{"p50 µs": all[n/2], "p99 µs": all[n*99/100], "max µs": all[n-1], "lost %": 100 * float64(sent-n) / float64(sent)}
}

// roundTrips compares on loopback, idle and beside two processes that use all they can get.
func roundTrips(ctx context.Context, b *bench) error {
	where := loopback()
	for _, busy := range []int{0, 2} {
		tools := []tool{b.netpRTT(where, "rtt", "network: kernel stamps at both ends, the reflector's stay removed"), b.irttRTT(where), b.ping(where),
			b.netpRTT(where, "rtt_user", "program to program, for comparison with irtt")}
		for i, t := range tools {
			tools[i].run = func(ctx context.Context) (figures, error) {
				stop, err := load(busy)
				if err != nil {
					return nil, err
				}
				defer stop()
				return t.run(ctx)
			}
		}
		title := "Probes 1 ms apart over loopback, the machine otherwise as it is."
		if busy > 0 {
			title = fmt.Sprintf("The same beside %d processes that use a processor each, at ordinary priority.", busy)
		}
		if _, err := (contest{title: title, columns: rttColumns, tools: tools, rounds: b.rounds}).run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// load starts busy processes.
func load(n int) (stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var all []*exec.Cmd
	stop = func() {
		for _, c := range all {
			c.Process.Kill()
			c.Wait()
		}
	}
	for range n {
		c := exec.Command(self, "busy")
		c.Env = append(os.Environ(), "GOMAXPROCS=1")
		if err := c.Start(); err != nil {
			stop()
			return nil, err
		}
		all = append(all, c)
	}
	return stop, nil
}

func (b *bench) netpRTT(where place, metric, setup string) tool {
	return tool{name: "netp " + metric, setup: setup, run: func(ctx context.Context) (figures, error) {
		m, err := play(ctx, where, part{Kind: rtt.Kind, Sessions: 1, Params: netp.Params{"duration": b.time.Seconds(), "interval": 0.001, "spacing": "periodic"}})
		if err != nil {
			return nil, err
		}
		r := m.results[0]
		d := r.Metrics[metric].Distribution
		return figures{
			"p50 µs": d.Member("p50") * 1e6, "p99 µs": d.Member("p99") * 1e6, "max µs": d.Member("max") * 1e6,
			"lost %": 100 * value(r, "loss.count") / value(r, "loss.sent"),
		}, nil
	}}
}

func (b *bench) irttRTT(where place) tool {
	return tool{name: "irtt", setup: "program to program, the server's time removed", run: func(ctx context.Context) (figures, error) {
		text, _, _, err := b.irtt(ctx, where, "-i", "1ms")
		if err != nil {
			return nil, err
		}
		var report struct {
			RoundTrips []struct {
				Lost  string
				Delay struct{ RTT int64 }
			} `json:"round_trips"`
		}
		if err := json.Unmarshal(text, &report); err != nil {
			return nil, err
		}
		var all []float64
		for _, trip := range report.RoundTrips {
			if trip.Lost == "false" {
				all = append(all, float64(trip.Delay.RTT)/1e3)
			}
		}
		return quantiles(all, len(report.RoundTrips)), nil
	}}
}

// irtt runs a client against a server of its own and gives the client's JSON and the CPU time of both [s].
func (b *bench) irtt(ctx context.Context, where place, args ...string) (text []byte, client, server float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, b.time+30*time.Second)
	defer cancel()
	address, up, err := b.irttServer(ctx, where)
	if err != nil {
		return nil, 0, 0, err
	}
	c := exec.CommandContext(ctx, "irtt", append(append([]string{"client", "-Q", "-d", b.time.String(), "-o", "-"}, args...), address)...)
	text, failed := output(where.near, c)
	up.Process.Signal(os.Interrupt)
	_ = up.Wait() // it ends with the signal
	if failed != nil {
		return nil, 0, 0, fmt.Errorf("irtt: %w: %.200s", failed, text)
	}
	if i := bytes.IndexByte(text, '{'); i > 0 {
		text = text[i:]
	}
	return text, processor(c), processor(up), nil
}

func (b *bench) irttServer(ctx context.Context, where place) (address string, server *exec.Cmd, err error) {
	number, err := b.ports.free(where.far, where.dest)
	if err != nil {
		return "", nil, err
	}
	address = where.dest + ":" + number
	server, err = listening(ctx, where.far, "starting", "irtt", "server", "-b", address, "-i", "0", "-d", "1m")
	return address, server, err
}

var pingTime = regexp.MustCompile(`time=([0-9.]+) ms`)

func (b *bench) ping(where place) tool {
	return tool{name: "ping", setup: "answered by the kernel, stamped by the kernel on arrival", run: func(ctx context.Context) (figures, error) {
		count := int(b.time / time.Millisecond)
		text, err := output(where.near, exec.CommandContext(ctx, "ping", "-i", "0.001", "-c", strconv.Itoa(count), where.dest))
		if err != nil {
			return nil, err
		}
		var all []float64
		for _, found := range pingTime.FindAllSubmatch(text, -1) {
			if ms, err := strconv.ParseFloat(string(found[1]), 64); err == nil {
				all = append(all, ms*1e3)
			}
		}
		return quantiles(all, count), nil
	}}
}
