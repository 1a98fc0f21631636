//go:build linux

package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/engine/tcp"
)

// control is the congestion control of both sides. What differs between the algorithms is not what is compared.
const control = "cubic"

var tcpColumns = []column{
	{name: "Gbit/s", scale: 1e9, ratio: true, better: "higher"},
	{name: "CPU s/GB", ratio: true, better: "lower"},
	{name: "sender"}, {name: "receiver"},
}

// tcpFigures are those of a transfer.
func tcpFigures(rate, bytes, sender, receiver float64) figures {
	gigabytes := bytes / 1e9
	return figures{"Gbit/s": rate, "CPU s/GB": (sender + receiver) / gigabytes, "sender": sender / gigabytes, "receiver": receiver / gigabytes}
}

// netpTCP is the engine tcp.
func (b *bench) netpTCP(where place, receive string, streams int) tool {
	return tool{
		name: "netp, receive = " + receive, setup: control + ", 512 KiB per call, sent by splice from Linux 6.5 on, socket buffers autotuned",
		run: func(ctx context.Context) (figures, error) {
			m, err := play(ctx, where, part{Kind: tcp.Kind, Sessions: 1, Params: netp.Params{
				"duration": b.time.Seconds(), "streams": float64(streams), "receive": receive, "congestion": control,
			}})
			if err != nil {
				return nil, err
			}
			r := m.results[0]
			rate := r.Metrics["throughput"].Distribution.Member("mean")
			return tcpFigures(rate, rate*r.Measured.Seconds()/8, m.initiator, m.respond), nil
		},
	}
}

// iperfTCP is iperf3 with options.
func (b *bench) iperfTCP(where place, streams int, options ...string) tool {
	setup := control + ", 128 KiB per call, socket buffers autotuned"
	if len(options) > 1 && options[0] == "-l" {
		setup = control + ", " + options[1] + "iB per call, socket buffers autotuned"
	}
	args := append([]string{"-P", strconv.Itoa(streams), "-C", control}, options...)
	name := "iperf3"
	if streams > 1 {
		name += " -P " + strconv.Itoa(streams)
	}
	return tool{
		name: strings.Join(append([]string{name}, options...), " "), setup: setup,
		run: func(ctx context.Context) (figures, error) {
			run, err := b.iperf(ctx, where, args...)
			if err != nil {
				return nil, err
			}
			got := run.report.End.Received
			return tcpFigures(got.Rate, got.Bytes, run.sender, run.receiver), nil
		},
	}
}

func tcpOne(ctx context.Context, b *bench) error {
	where := loopback()
	_, err := contest{
		title:   "The receiver copies, as programs do; netp's sender does not. iperf3 -l 512K is the like for like in bytes per system call, with -Z (sendfile) also in that its sender copies nothing.",
		columns: tcpColumns, rounds: b.rounds,
		tools: []tool{
			b.netpTCP(where, "copy", 1), b.iperfTCP(where, 1), b.iperfTCP(where, 1, "-l", "512K"), b.iperfTCP(where, 1, "-l", "1M"), b.iperfTCP(where, 1, "-l", "512K", "-Z"),
		},
	}.run(ctx)
	return err
}

func tcpDiscard(ctx context.Context, b *bench) error {
	where := loopback()
	least := []string{"-Z"}
	if b.iperfCan("--skip-rx-copy") {
		least = append(least, "--skip-rx-copy")
	}
	_, err := contest{
		title:   "Neither sender copies (netp by splice, iperf3 by sendfile: -Z). netp's receiver discards in the kernel (MSG_TRUNC), iperf3's where it knows --skip-rx-copy; netp with a receiver that copies stands beside it.",
		columns: tcpColumns, rounds: b.rounds,
		tools: []tool{b.netpTCP(where, "discard", 1), b.iperfTCP(where, 1, least...), b.netpTCP(where, "copy", 1), b.iperfTCP(where, 1)},
	}.run(ctx)
	return err
}

func tcpFour(ctx context.Context, b *bench) error {
	wire, err := newWire()
	if err != nil {
		return err
	}
	defer wire.close()
	for _, where := range []place{loopback(), wire} {
		_, err := contest{
			title: "Four streams, the receiver copies, " + where.name + ".", columns: tcpColumns, rounds: b.rounds,
			tools: []tool{b.netpTCP(where, "copy", 4), b.iperfTCP(where, 4), b.iperfTCP(where, 4, "-l", "1M")},
		}.run(ctx)
		if err != nil {
			return err
		}
	}
	_, err = contest{
		title: "One stream, the receiver copies, veth.", columns: tcpColumns, rounds: b.rounds,
		tools: []tool{b.netpTCP(wire, "copy", 1), b.iperfTCP(wire, 1), b.iperfTCP(wire, 1, "-l", "1M")},
	}.run(ctx)
	return err
}
