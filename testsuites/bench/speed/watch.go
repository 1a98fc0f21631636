//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"math"
	"net"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// watcher sees the packets of a stream arrive, with the kernel's stamps. It looks seldom, so that it takes no time from those it
// watches.
type watcher struct {
	fd   int
	size int // of the IP packets that are watched
	stop chan struct{}
	done chan []int64
}

const (
	watchEvery  = 20 * time.Millisecond
	watchBuffer = 64 << 20
	watchBatch  = 256
	watchBytes  = 64 // of each packet
)

// watch opens a packet socket on a link of the namespace in which it is called.
func watch(link string, payload int) (*watcher, error) {
	all := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_IP))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(all))
	if err != nil {
		return nil, err
	}
	w := &watcher{fd: fd, size: payload + 28, stop: make(chan struct{}), done: make(chan []int64, 1)}
	if err := w.prepare(link, all); err != nil {
		unix.Close(fd)
		return nil, err
	}
	go w.run()
	return w, nil
}

func (w *watcher) prepare(link string, protocol uint16) error {
	dev, err := net.InterfaceByName(link)
	if err != nil {
		return err
	}
	if err := unix.SetsockoptInt(w.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, watchBuffer); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(w.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return err
	}
	// Arriving UDP packets of that length only: the rest is not even queued.
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: 2}, {Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(w.size), Jf: 3},
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 9}, {Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.IPPROTO_UDP, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: watchBytes}, {Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.SetsockoptSockFprog(w.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &filter); err != nil {
		return err
	}
	return unix.Bind(w.fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: dev.Index})
}

// run reads until it is stopped, and then what is left.
func (w *watcher) run() {
	defer unix.Close(w.fd)
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	r := newStampReader()
	for last := false; !last; {
		select {
		case <-tick.C:
		case <-w.stop:
			last = true
		}
		r.drain(w.fd)
	}
	w.done <- r.stamps
}

// finish stops watching and gives the stamps [Unix ns].
func (w *watcher) finish() []int64 {
	close(w.stop)
	return <-w.done
}

// stampReader reads the stamps of many packets with one system call.
type stampReader struct {
	headers [watchBatch]struct {
		unix.Msghdr
		length uint32
	}
	vectors [watchBatch]unix.Iovec
	payload [watchBatch][watchBytes]byte
	control [watchBatch][64]byte
	stamps  []int64
}

func newStampReader() *stampReader {
	r := &stampReader{stamps: make([]int64, 0, 1<<20)}
	for i := range r.headers {
		r.vectors[i].Base = &r.payload[i][0]
		r.vectors[i].SetLen(watchBytes)
		r.headers[i].Iov = &r.vectors[i]
		r.headers[i].SetIovlen(1)
		r.headers[i].Control = &r.control[i][0]
	}
	return r
}

func (r *stampReader) drain(fd int) {
	for {
		for i := range r.headers {
			r.headers[i].SetControllen(len(r.control[i]))
		}
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&r.headers[0])), watchBatch, unix.MSG_DONTWAIT, 0, 0)
		if errno != 0 {
			return
		}
		for i := range int(n) {
			m := (*unix.Cmsghdr)(unsafe.Pointer(&r.control[i][0]))
			if m.Level == unix.SOL_SOCKET && m.Type == unix.SO_TIMESTAMPNS {
				r.stamps = append(r.stamps, (*unix.Timespec)(unsafe.Pointer(&r.control[i][unix.CmsgLen(0)])).Nano())
			}
		}
	}
}

// spacing says how evenly packets arrived that should be pps apart; the first and the last tenth are left out.
func spacing(stamps []int64, pps float64) figures {
	stamps = stamps[len(stamps)/10 : len(stamps)-len(stamps)/10]
	if len(stamps) < 10 {
		return figures{}
	}
	nominal := 1e9 / pps
	var errors []float64
	bursts := 0
	for i := range stamps[1:] {
		gap := float64(stamps[i+1] - stamps[i])
		errors = append(errors, math.Abs(gap-nominal))
		if gap < nominal/4 {
			bursts++
		}
	}
	slices.Sort(errors)
	n := len(errors)
	reached := float64(n) * 1e9 / float64(stamps[n]-stamps[0])
	return figures{
		"p50 µs": errors[n/2] / 1e3, "p99 µs": errors[n*99/100] / 1e3,
		"bursts %": 100 * float64(bursts) / float64(n), "rate error %": 100 * math.Abs(reached/pps-1),
	}
}

// watched runs f and gives how the packets of its stream were spaced where they arrived.
func watched(ctx context.Context, where place, payload int, pps float64, f func(context.Context) (sender float64, err error)) (figures, error) {
	var w *watcher
	err := inside(where.far, func() (err error) {
		w, err = watch("eth0", payload)
		return err
	})
	if err != nil {
		return nil, err
	}
	sender, err := f(ctx)
	all := spacing(w.finish(), pps)
	all["sender CPU %"] = sender
	return all, err
}
