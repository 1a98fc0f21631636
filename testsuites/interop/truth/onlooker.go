//go:build linux

package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/netpupper/netp"
)

// onlooker has tshark look at netp's own STAMP packets where they leave and come back, and gives the round trips that it sees: from
// the probe to its answer, without the stay that the answer states.
func onlooker(ctx context.Context, p path, packets int, interval time.Duration) (found, error) {
	filter := fmt.Sprintf("udp and udp[4:2] = %d", 8+sealedSize)
	lines, err := p.captured(2*packets, filter, []string{"frame.time_epoch", "udp.payload"}, nil, func() error {
		r, err := p.run(ctx, session{kind: "rtt", params: netp.Params{"count": float64(packets), "interval": interval.Seconds(), "timeout": 1.0}})
		if err == nil && r.Failure != nil {
			err = r.Failure
		}
		return err
	})
	if err != nil {
		return found{}, err
	}
	f := found{sent: packets, lostForward: -1, lostBackward: -1}
	asked := map[string]time.Duration{}
	for _, line := range lines {
		at, payload, err := packetSeen(line)
		if err != nil {
			return f, err
		}
		part := func(from, to int) string { return string(payload[from:to]) }
		// Offsets of RFC 8762's authenticated packets.
		if before, ok := asked[part(48, 52)+part(64, 72)]; ok {
			f.delays = append(f.delays, at-before-(ntp(payload[16:])-ntp(payload[32:])))
			continue
		}
		asked[part(0, 4)+part(16, 24)] = at
	}
	f.lost = packets - len(f.delays)
	return f, nil
}

// sealedSize is the length of an authenticated STAMP packet with its TLVs.
const sealedSize = 152

// packetSeen reads a line of tshark.
func packetSeen(line string) (time.Duration, []byte, error) {
	stamp, text, _ := strings.Cut(line, "\t")
	whole, fraction, _ := strings.Cut(stamp, ".")
	s, failed := strconv.ParseInt(whole, 10, 64)
	ns, err := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
	payload, undecoded := hex.DecodeString(text)
	if err := errors.Join(failed, err, undecoded); err != nil || len(payload) != sealedSize {
		return 0, nil, fmt.Errorf("tshark printed %q: %w", line, err)
	}
	return time.Duration(s*1e9 + ns), payload, nil
}

// ntp reads an NTP timestamp, as a time since 1900.
func ntp(b []byte) time.Duration {
	var seconds, fraction int64
	for i := range 4 {
		seconds, fraction = seconds<<8|int64(b[i]), fraction<<8|int64(b[4+i])
	}
	return time.Duration(seconds*1e9 + fraction*1e9>>32)
}
