//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/engine/udp"
	"github.com/netpupper/netp/agent/pace"
)

var pacingColumns = []column{
	{name: "p50 µs", ratio: true, better: "lower"},
	{name: "p99 µs", ratio: true, better: "lower"},
	{name: "bursts %"}, {name: "rate error %"}, {name: "sender CPU %"},
}

const pacedSize = 200

func pacingSlow(ctx context.Context, b *bench) error { return b.pacing(ctx, 1_000, 10_000) }
func pacingFast(ctx context.Context, b *bench) error { return b.pacing(ctx, 50_000, 100_000) }

// pacing compares the spacing of packets at some rates.
func (b *bench) pacing(ctx context.Context, rates ...int) error {
	wire, err := newWire()
	if err != nil {
		return err
	}
	defer wire.close()
	for _, pps := range rates {
		_, err := contest{
			title:   fmt.Sprintf("%d packets per second of %d B over veth: how far the gaps are from even where they arrive, by the kernel's stamps on a packet socket; a burst is a gap below a quarter of the even one.", pps, pacedSize),
			columns: pacingColumns, rounds: b.rounds,
			tools: []tool{b.netpPaced(wire, pps), b.iperfPaced(wire, pps), b.clockAlone(pps)},
		}.run(ctx)
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) netpPaced(where place, pps int) tool {
	return tool{name: "netp", setup: "sleeps, then watches the clock; no offload", run: func(ctx context.Context) (figures, error) {
		return watched(ctx, where, pacedSize, float64(pps), func(ctx context.Context) (float64, error) {
			m, err := play(ctx, where, part{Kind: udp.Kind, Sessions: 1, Params: netp.Params{
				"duration": b.time.Seconds(), "rate": strconv.Itoa(pps) + "pps", "size": float64(pacedSize),
			}})
			return 100 * m.initiator / b.time.Seconds(), err
		})
	}}
}

func (b *bench) iperfPaced(where place, pps int) tool {
	return tool{name: "iperf3 -u", setup: "its own timer; no offload", run: func(ctx context.Context) (figures, error) {
		return watched(ctx, where, pacedSize, float64(pps), func(ctx context.Context) (float64, error) {
			run, err := b.iperf(ctx, where, "-u", "-l", strconv.Itoa(pacedSize), "-b", strconv.Itoa(pps*pacedSize*8), "-w", "4M")
			if err == nil && run.report.End.Sum.Packets == 0 {
				err = errors.New("it sent nothing")
			}
			return 100 * run.sender / b.time.Seconds(), err
		})
	}}
}

// clockAlone is what the machine leaves to any sender: a thread that sends nothing, and reads the clock until the next packet would be
// due. Where the machine interrupts it, it would interrupt a sender too.
func (b *bench) clockAlone(pps int) tool {
	return tool{name: "the clock alone", setup: "sends nothing, watches the clock as netp does", run: func(ctx context.Context) (figures, error) {
		defer pace.Pin()()
		p, err := pace.New(pace.Config{Schedule: pace.Constant(clock.Mono(), pace.Rate{Units: uint64(pps), Per: time.Second})})
		if err != nil {
			return nil, err
		}
		stamps := make([]int64, 0, int(b.time.Seconds())*pps)
		for range cap(stamps) {
			now, err := p.Wait(ctx, p.Next(1))
			if err != nil {
				return nil, err
			}
			stamps = append(stamps, now)
		}
		return spacing(stamps, float64(pps)), nil
	}}
}
