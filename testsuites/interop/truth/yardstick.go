//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/netpupper/netp/testsuites/lab"
	"github.com/netpupper/netp/testsuites/lab/emulator"
)

// The yardstick is the least that a program can do to measure a delay: it reads the clock, sends a packet, and has the kernel stamp it
// at the other end. What it is wrong by, the machine is to blame for: windows in which that is too much are repeated.

// yardPort is where its packets go.
const yardPort = 9

// startYardstick sends packets from near to far. The function it gives waits for them and gives their delays, by number.
func (p path) startYardstick(packets int, interval time.Duration) func() (map[uint64]time.Duration, error) {
	type outcome struct {
		delays map[uint64]time.Duration
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		d, err := p.yardstick(packets, interval)
		done <- outcome{d, err}
	}()
	return func() (map[uint64]time.Duration, error) {
		o := <-done
		return o.delays, o.err
	}
}

func (p path) yardstick(packets int, interval time.Duration) (map[uint64]time.Duration, error) {
	there, err := p.far.Listen(netip.AddrPortFrom(p.to, yardPort))
	if err != nil {
		return nil, err
	}
	defer there.Close()
	raw, err := there.SyscallConn()
	if err != nil {
		return nil, err
	}
	var stamping error
	if err := errors.Join(raw.Control(func(fd uintptr) { stamping = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1) }), stamping); err != nil {
		return nil, fmt.Errorf("have packets stamped: %w", err)
	}
	here, err := p.near.Listen(netip.AddrPortFrom(p.from, 0))
	if err != nil {
		return nil, err
	}
	defer here.Close()
	begin, packet, target := time.Now(), make([]byte, dataSize), netip.AddrPortFrom(p.to, yardPort)
	packet[0] = 0xfe // none of netp's
	for n := range packets {
		time.Sleep(time.Until(begin.Add(time.Duration(n) * interval)))
		binary.BigEndian.PutUint64(packet[8:], uint64(n))
		binary.BigEndian.PutUint64(packet[16:], uint64(time.Now().UnixNano()))
		if _, err := here.WriteToUDPAddrPort(packet, target); err != nil {
			return nil, err
		}
	}
	delays := map[uint64]time.Duration{}
	control := make([]byte, 128)
	there.SetReadDeadline(time.Now().Add(time.Second))
	for len(delays) < packets {
		_, n, _, _, err := there.ReadMsgUDPAddrPort(packet, control)
		if err != nil {
			return nil, fmt.Errorf("%w: %d of %d packets of a bare socket arrived: %w", lab.ErrLate, len(delays), packets, err)
		}
		stamp, err := kernelStamp(control[:n])
		if err != nil {
			return nil, err
		}
		delays[binary.BigEndian.Uint64(packet[8:])] = time.Duration(stamp - int64(binary.BigEndian.Uint64(packet[16:])))
	}
	return delays, nil
}

// kernelStamp is the time at which a packet arrived.
func kernelStamp(control []byte) (int64, error) {
	messages, err := unix.ParseSocketControlMessage(control)
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= int(unsafe.Sizeof(unix.Timespec{})) {
			return (*unix.Timespec)(unsafe.Pointer(&m.Data[0])).Nano(), nil
		}
	}
	return 0, errors.Join(errors.New("a packet came without a stamp of the kernel"), err)
}

// fit is ErrLate when the yardstick was wrong by more than half of what netp promises.
func fit(said map[uint64]time.Duration, there []emulator.Record) error {
	truth := tell(there, func(r emulator.Record) (uint64, bool) {
		return binary.BigEndian.Uint64(r.Head[16:]), r.Protocol == unix.IPPROTO_UDP && binary.BigEndian.Uint16(r.Head[2:]) == yardPort
	})
	var wrong []time.Duration
	for n, d := range truth.delays {
		wrong = append(wrong, said[n]-time.Duration(d))
	}
	if len(wrong) != len(said) || len(said) == 0 {
		return fmt.Errorf("%w: %d packets of a bare socket are on record, and %d arrived", lab.ErrLate, len(wrong), len(said))
	}
	if p50, p99 := quantile(wrong, 0.5), quantile(wrong, 0.99); p50 > medianError/2 || p99 > tailError/2 {
		return fmt.Errorf("%w: a bare socket is wrong by p50 %v, p99 %v", lab.ErrLate, p50, p99)
	}
	return nil
}
