//go:build linux

package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/engine/udp"
)

var udpColumns = []column{
	{name: "received kpps", scale: 1e3, ratio: true, better: "higher"},
	{name: "loss %", better: "lower"},
	{name: "sender ns/packet", ratio: true, better: "lower"},
	{name: "receiver ns/packet", ratio: true, better: "lower"},
}

// udpFigures are those of a stream.
func udpFigures(sent, received, seconds, sender, receiver float64) figures {
	return figures{
		"received kpps": received / seconds, "loss %": 100 * (sent - received) / sent,
		"sender ns/packet": sender * 1e9 / sent, "receiver ns/packet": receiver * 1e9 / received,
	}
}

// netpFlood is the engine udp as fast as it goes. Sizes in turn keep it from joining packets.
func (b *bench) netpFlood(where place, sizes ...int) tool {
	t := tool{name: fmt.Sprintf("netp, %d B", sizes[0]), setup: "GSO and GRO, receive buffer 128 MB"}
	params := netp.Params{"duration": b.time.Seconds(), "rate": "0", "size": float64(sizes[0])}
	if len(sizes) > 1 {
		t.name = fmt.Sprintf("netp, %d and %d B in turn", sizes[0], sizes[1])
		t.setup = "no offload, 8 packets per call, receive buffer 128 MB"
		var mix []any
		for _, size := range sizes {
			mix = append(mix, []any{float64(size), 1.0})
		}
		delete(params, "size")
		params["mix"] = mix
	}
	t.run = func(ctx context.Context) (figures, error) {
		m, err := play(ctx, where, part{Kind: udp.Kind, Params: params, Sessions: 1})
		if err != nil {
			return nil, err
		}
		r := m.results[0]
		return udpFigures(value(r, "loss.sent"), value(r, "loss.received"), r.Measured.Seconds(), m.initiator, m.respond), nil
	}
	return t
}

// iperfFlood is iperf3 -u -b 0.
func (b *bench) iperfFlood(where place, size int, options ...string) tool {
	name := fmt.Sprintf("iperf3 -u -b 0 -l %d", size)
	for _, o := range options {
		name += " " + o
	}
	args := append([]string{"-u", "-b", "0", "-l", strconv.Itoa(size)}, options...)
	setup := "no offload, buffers of the system"
	for i, o := range options {
		switch {
		case o == "-w":
			setup = "no offload, buffers " + options[i+1]
		case o == "--gsro":
			setup = "GSO and GRO" + setup[len("no offload"):]
		}
	}
	return tool{name: name, setup: setup, run: func(ctx context.Context) (figures, error) {
		run, err := b.iperf(ctx, where, args...)
		if err != nil {
			return nil, err
		}
		sum := run.report.End.Sum
		return udpFigures(sum.Packets, sum.Packets-sum.Lost, sum.Seconds, run.sender, run.receiver), nil
	}}
}

// floods compares on a veth pair.
func (b *bench) floods(ctx context.Context, title string, tools func(place) []tool) error {
	wire, err := newWire()
	if err != nil {
		return err
	}
	defer wire.close()
	_, err = contest{title: title, columns: udpColumns, rounds: b.rounds, tools: tools(wire)}.run(ctx)
	return err
}

func udpSingle(ctx context.Context, b *bench) error {
	return b.floods(ctx, "As fast as it goes over veth. netp's packets carry an authenticated sequence number and a time, and each is checked.",
		func(where place) []tool {
			return []tool{b.netpFlood(where, 64, 65), b.iperfFlood(where, 64, "-w", "4M")}
		})
}

// offloaded are netp, iperf3 as it comes, and iperf3 with offload where it has that.
func (b *bench) offloaded(where place, size int) []tool {
	tools := []tool{b.netpFlood(where, size), b.iperfFlood(where, size, "-w", "4M")}
	if size > 1000 {
		tools[1] = b.iperfFlood(where, size)
	}
	if b.iperfCan("--gsro") {
		tools = append(tools, b.iperfFlood(where, size, "--gsro", "-w", "4M"))
	}
	return append(tools, b.netpFlood(where, size, size+1))
}

func udpSmall(ctx context.Context, b *bench) error {
	return b.floods(ctx, "As fast as it goes over veth; the last row is netp without offload.", func(where place) []tool { return b.offloaded(where, 64) })
}

func udpLarge(ctx context.Context, b *bench) error {
	return b.floods(ctx, "As fast as it goes over veth; the last row is netp without offload.", func(where place) []tool { return b.offloaded(where, 1400) })
}
