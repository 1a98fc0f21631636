//go:build unix

package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/engine"
	"github.com/netpupper/netp/agent/engine/udp"
	"github.com/netpupper/netp/agent/port"
)

// runNetp measures with our engine, both ends in this process.
func runNetp(ctx context.Context, t traffic) (measurement, error) {
	return runParams(ctx, t, netp.Params{"size": float64(t.size)})
}

// runNetpPlain does so with sizes mixed by one byte, which keeps the engine from joining packets.
func runNetpPlain(ctx context.Context, t traffic) (measurement, error) {
	return runParams(ctx, t, netp.Params{"mix": []any{[]any{float64(t.size), 1.0}, []any{float64(t.size + 1), 1.0}}})
}

func runParams(ctx context.Context, t traffic, params netp.Params) (measurement, error) {
	params["duration"] = t.seconds
	params["rate"] = "0"
	if t.pps > 0 {
		params["rate"] = strconv.FormatFloat(t.pps, 'f', -1, 64) + "pps"
	}
	before := used()
	r, err := session(ctx, params)
	if err != nil {
		return measurement{}, err
	}
	cpu := used() - before
	value := func(name string) float64 { return *r.Metrics[name].Value }
	received := value("loss.received")
	m := measurement{
		sent: value("loss.sent"), received: received, lossPercent: 100 * value("loss.count") / value("loss.sent"),
		rate: received * float64(t.size) * 8 / t.seconds, jitter: value("jitter"),
		delay: r.Metrics["delay"].Distribution.Member("p50"),
		cpu:   float64(cpu) / received,
		note:  "offload " + r.Facts["offload"],
	}
	for _, c := range r.Health {
		if !c.OK {
			m.note += "; " + c.Name
		}
	}
	return m, nil
}

// session runs one session between two agents on loopback.
func session(ctx context.Context, params netp.Params) (netp.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	data, err := port.Listen(port.Config{Where: port.Where{Address: netip.MustParseAddr("127.0.0.1")}})
	if err != nil {
		return netp.Result{}, err
	}
	defer data.Close()
	secret := make([]byte, 32)
	rand.Read(secret)
	job := engine.Job{
		Session: netp.Session{Addr: "interop", Kind: udp.Kind, Params: params},
		ID:      1, Keys: port.DeriveKeys(secret, 1), Clock: new(clock.Clock), SameClock: true, Seed: 1,
	}
	accept, err := data.Expect(port.Expectation{ID: job.ID, Keys: job.Keys, Until: time.Now().Add(time.Minute)})
	if err != nil {
		return netp.Result{}, err
	}
	defer accept.Close()
	here, there := job, job
	here.Peer, there.Accept = data.Addr(), accept
	var i, r netp.Result
	var both sync.WaitGroup
	both.Go(func() { i = udp.New().Initiate(ctx, here) })
	both.Go(func() { r = udp.New().Respond(ctx, there) })
	both.Wait()
	m := netp.Merge(i, r)
	if m.Failure != nil {
		return m, fmt.Errorf("%s: %s", m.Failure.Kind, m.Failure.Detail)
	}
	return m, nil
}

// used is the processor time of this process.
func used() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
