//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/testsuites/lab"
	"github.com/netpupper/netp/testsuites/lab/emulator"
)

// hostileTable attacks a session, and runs sessions over paths that cannot be measured.
func hostileTable(ctx context.Context, l *lab.Lab, s scale) (table, error) {
	t := table{header: []string{"path", "kind", "what netp says", "verdict", ""}}
	steps := []func(path, context.Context, *table, scale) error{
		path.flooded, path.firewalled, path.blackHole, path.narrowed, path.deserted, path.deceived, path.misled,
	}
	parts := make([]table, len(steps))
	var all errgroup.Group
	for i, step := range steps {
		all.Go(func() error {
			p, err := newPath(l)
			if err != nil {
				return err
			}
			return step(p, ctx, &parts[i], s)
		})
	}
	err := all.Wait()
	t.join(parts)
	return t, err
}

// attacker is where forged packets come from: a host beside the far one, whose packets do not pass the line.
var attacker = netip.MustParsePrefix("10.21.0.1/24")

// flooded sends random packets to a live session: to the data port from anywhere, and to the session's own flow as if they came from
// its peer.
func (p path) flooded(ctx context.Context, t *table, s scale) error {
	mallory, err := p.lab.Node("mallory")
	if err != nil {
		return err
	}
	if err := errors.Join(
		p.lab.Cable(lab.End{Node: mallory, Device: "lan", Address: attacker}, lab.End{Node: p.far, Device: "lan", Address: netip.PrefixFrom(attacker.Addr().Next(), attacker.Bits())}),
		mallory.Route(0, netip.PrefixFrom(farAddress, 32), attacker.Addr().Next()),
		p.far.Sysctl("ipv4/conf/all/rp_filter", "0"), p.far.Sysctl("ipv4/conf/lan/rp_filter", "0"), // forged addresses come in
	); err != nil {
		return err
	}
	if err := p.line.Backward.Record(10_000); err != nil {
		return err
	}
	if err := p.line.Forward.Record(200_000); err != nil {
		return err
	}
	const pps, rate = 200, 25_000
	length := max(time.Second, time.Duration(float64(s.hostile)/rate*float64(time.Second)))
	begun := make(chan struct{})
	var attack sync.WaitGroup
	var attacked error
	var early []emulator.Record
	sent := 0
	attack.Go(func() {
		select {
		case <-begun:
			sent, early, attacked = p.attack(mallory, s.hostile)
		case <-ctx.Done():
		}
	})
	r, err := p.run(ctx, session{kind: "udp", begun: sync.OnceFunc(func() { close(begun) }), params: netp.Params{
		"duration": (length * 13 / 10).Seconds(), "rate": fmt.Sprintf("%dpps", pps), "size": float64(dataSize), "timeout": 1.0,
	}})
	attack.Wait()
	if err := errors.Join(err, attacked); err != nil {
		return err
	}
	records, err := p.line.Forward.Take()
	if err != nil {
		return err
	}
	truth := tell(append(early, records...), counted)
	same := r.Failure == nil
	var says []string
	for _, figure := range []struct {
		name string
		want uint64
	}{{"loss.sent", truth.sent}, {"loss.received", truth.received}, {"loss.count", 0}, {"duplicated.count", 0}, {"reordered.count", 0}} {
		got, err := value(r, figure.name)
		if err != nil {
			return err
		}
		same = same && got == float64(figure.want)
		says = append(says, fmt.Sprintf("%s %v", figure.name, got))
	}
	t.add(same, "no effect", fmt.Sprintf("%d random packets against the session and its port", sent), "udp", strings.Join(says, ", ")+", rejected "+r.Facts["packets_rejected"], "")
	return nil
}

// attack sends random packets, at about 25 000 a second.
func (p path) attack(from *lab.Node, packets int) (sent int, early []emulator.Record, err error) {
	// A packet of the session, as anybody on the path could see it.
	flow, early, err := p.someFlow()
	if err != nil {
		return 0, early, err
	}
	socket := -1
	if err := from.Do(func() (err error) {
		socket, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		return err
	}); err != nil {
		return 0, early, fmt.Errorf("open a raw socket: %w", err)
	}
	defer unix.Close(socket)
	r := rand.New(rand.NewPCG(1, 9))
	to := &unix.SockaddrInet4{Addr: farAddress.As4()}
	begin := time.Now()
	for n := range packets {
		if err := unix.Sendto(socket, forged(r, flow), 0, to); err != nil && err != unix.ENOBUFS {
			return n, early, fmt.Errorf("send a forged packet: %w", err)
		}
		if n%50 == 49 {
			time.Sleep(time.Until(begin.Add(time.Duration(n) * 40 * time.Microsecond)))
		}
	}
	return packets, early, nil
}

// someFlow waits for a data packet of the session: ports and the beginning of the payload. It gives all records up to there, too.
func (p path) someFlow() (flow emulator.Record, all []emulator.Record, err error) {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		records, err := p.line.Forward.Take()
		if err != nil {
			return flow, all, err
		}
		all = append(all, records...)
		for _, r := range records {
			if _, ok := counted(r); ok {
				return r, all, nil
			}
		}
	}
	return flow, all, errors.New("no packet of the session was seen")
}

// forged makes a random IPv4 packet: half of them as if they were the peer's, many with a beginning like that of a true one.
func forged(r *rand.Rand, flow emulator.Record) []byte {
	payload := make([]byte, 1+r.IntN(400))
	for i := range payload {
		payload[i] = byte(r.Uint32())
	}
	if r.IntN(2) == 0 {
		payload[0] = byte(1 + r.IntN(3)) // a kind of packet that there is
	}
	if r.IntN(4) == 0 { // a true packet with something changed
		payload = append(payload[:0], flow.Head[8:]...)
		payload = append(payload, make([]byte, dataSize-len(payload))...)
		payload[r.IntN(32)] ^= byte(1 << r.IntN(8))
	}
	packet := make([]byte, headers, headers+len(payload))
	packet[0], packet[8], packet[9] = 0x45, 64, unix.IPPROTO_UDP
	from, source, target := nearAddress.As4(), binary.BigEndian.Uint16(flow.Head[:]), binary.BigEndian.Uint16(flow.Head[2:])
	if r.IntN(2) == 0 {
		from, source, target = attacker.Addr().As4(), uint16(1024+r.IntN(60_000)), dataPort
	}
	to := farAddress.As4()
	copy(packet[12:], from[:])
	copy(packet[16:], to[:])
	binary.BigEndian.PutUint16(packet[20:], source)
	binary.BigEndian.PutUint16(packet[22:], target)
	binary.BigEndian.PutUint16(packet[24:], uint16(8+len(payload))) // no checksum: it is allowed to be 0
	return append(packet, payload...)
}
