//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/engine/udp"
)

const (
	calls     = 500
	callRate  = 50 // packets per second
	callBytes = 172
)

var voiceColumns = []column{
	{name: "CPU s", ratio: true, better: "lower"},
	{name: "sent"}, {name: "lost"},
}

// voice compares many slow streams at once.
func voice(ctx context.Context, b *bench) error {
	where := loopback()
	for _, c := range []struct {
		title string
		tools []tool
	}{
		{"One way; iperf3 needs a client and a server process for each stream.", []tool{b.netpVoice(where, netp.Forward), b.iperfVoice(where)}},
		{"Both ways, as irtt's packets come back; irtt needs a client process for each stream.", []tool{b.netpVoice(where, netp.Both), b.irttVoice(where)}},
	} {
		title := fmt.Sprintf("%d streams of %d packets per second of %d B for %v over loopback, all at once. %s", calls, callRate, callBytes, b.time, c.title)
		if _, err := (contest{title: title, columns: voiceColumns, tools: c.tools, rounds: b.rounds}).run(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) netpVoice(where place, d netp.Direction) tool {
	return tool{name: "netp, direction = " + string(d), setup: "two processes", run: func(ctx context.Context) (figures, error) {
		m, err := play(ctx, where, part{Kind: udp.Kind, Sessions: calls, Params: netp.Params{
			"duration": b.time.Seconds(), "rate": fmt.Sprintf("%dpps", callRate), "size": float64(callBytes), "direction": string(d),
		}})
		if err != nil {
			return nil, err
		}
		f := figures{"CPU s": m.initiator + m.respond, "sent": 0, "lost": 0}
		prefixes := []string{""}
		if d == netp.Both {
			prefixes = []string{"forward.", "reverse."}
		}
		for _, r := range m.results {
			for _, way := range prefixes {
				f["sent"] += value(r, way+"loss.sent")
				f["lost"] += value(r, way+"loss.count")
			}
		}
		return f, nil
	}}
}

// together runs one function per stream at the same time and adds up what they give.
func together(one func() (figures, error)) (figures, error) {
	var (
		all    sync.WaitGroup
		mu     sync.Mutex // guards sum and failed
		sum    = figures{}
		failed error
	)
	for range calls {
		all.Go(func() {
			f, err := one()
			mu.Lock()
			defer mu.Unlock()
			failed = errors.Join(failed, err)
			for name, v := range f {
				sum[name] += v
			}
		})
	}
	all.Wait()
	return sum, failed
}

func (b *bench) iperfVoice(where place) tool {
	return tool{name: "iperf3 -u", setup: fmt.Sprint(2*calls, " processes"), run: func(ctx context.Context) (figures, error) {
		return together(func() (figures, error) {
			run, err := b.iperf(ctx, where, "-u", "-l", strconv.Itoa(callBytes), "-b", strconv.Itoa(callRate*callBytes*8))
			sum := run.report.End.Sum
			return figures{"CPU s": run.sender + run.receiver, "sent": sum.Packets, "lost": sum.Lost}, err
		})
	}}
}

func (b *bench) irttVoice(where place) tool {
	return tool{name: "irtt", setup: fmt.Sprint(calls+1, " processes; lost is that of round trips"), run: func(ctx context.Context) (figures, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		address, server, err := b.irttServer(ctx, where)
		if err != nil {
			return nil, err
		}
		f, failed := together(func() (figures, error) {
			c := exec.CommandContext(ctx, "irtt", "client", "-q", "-Q", "-i", "20ms", "-l", strconv.Itoa(callBytes), "-d", b.time.String(), "-o", "-", address)
			text, err := output(where.near, c)
			var ended *exec.ExitError
			switch {
			case errors.As(err, &ended): // on some machines its server leaves some of so many unanswered: what is sent tells
				return figures{"CPU s": processor(c), "silent": 1}, nil
			case err != nil:
				return nil, err
			}
			var report struct {
				Stats struct {
					Sent float64 `json:"packets_sent"`
					Got  float64 `json:"packets_received"`
				} `json:"stats"`
			}
			if err := json.Unmarshal(text, &report); err != nil {
				return nil, err
			}
			s := report.Stats
			return figures{"CPU s": processor(c), "sent": 2 * s.Sent, "lost": s.Sent - s.Got}, nil
		})
		server.Process.Signal(os.Interrupt)
		_ = server.Wait() // it ends with the signal
		f["CPU s"] += processor(server)
		if f["silent"] > calls/10 {
			failed = errors.Join(failed, fmt.Errorf("%v of %d clients failed", f["silent"], calls))
		}
		return f, failed
	}}
}
