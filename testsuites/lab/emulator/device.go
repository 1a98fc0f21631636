//go:build linux

package emulator

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Frames are read from a ring that the kernel fills: no call per packet, and each carries the stamp of its arrival.
const (
	frameSize = 2048 // of a slot in the ring
	slots     = 2048
	blockSize = 1 << 16
	// MaxFrame is the longest frame that a line carries, Ethernet header included.
	MaxFrame = 1900
)

// header is the kernel's struct tpacket2_hdr.
type header struct {
	status, length, captured uint32
	mac, net                 uint16
	seconds, nanos           uint32
	_                        [8]byte
}

// device is one end of a line: a packet socket on a network device.
type device struct {
	fd   int
	ring []byte
	next int // slot
	way  *direction
	to   *device // the other end, to which way leads
}

// Attach opens a packet socket on the device with an index, in the network namespace of the calling thread.
func Attach(index int) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open a packet socket: %w", err)
	}
	ring := unix.TpacketReq{Block_size: blockSize, Block_nr: slots * frameSize / blockSize, Frame_size: frameSize, Frame_nr: slots}
	const all = unix.ETH_P_ALL>>8 | unix.ETH_P_ALL<<8 // in network order
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V2),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1), // makes the kernel stamp arrivals early
		unix.SetsockoptTpacketReq(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &ring),
	)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all & 0xffff, Ifindex: index})
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("set up a packet socket: %w", err)
	}
	return fd, nil
}

// open maps the ring of a socket made by Attach.
func open(fd int) (*device, error) {
	ring, err := unix.Mmap(fd, 0, slots*frameSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the ring of a packet socket: %w", err)
	}
	return &device{fd: fd, ring: ring}, nil
}

func (d *device) close() {
	unix.Munmap(d.ring)
	unix.Close(d.fd)
}

// slot is the header of the next slot, and whether it holds a frame.
func (d *device) slot() (*header, bool) {
	h := (*header)(unsafe.Pointer(&d.ring[d.next*frameSize]))
	return h, atomic.LoadUint32(&h.status)&unix.TP_STATUS_USER != 0
}

// read copies the next frame into a buffer and gives its length and the time of its arrival. A frame that does not fit has the
// length 0.
func (d *device) read(h *header, into []byte) (n int, arrival int64) {
	arrival = int64(h.seconds)*1e9 + int64(h.nanos)
	if h.captured == h.length && int(h.length) <= len(into) {
		from := d.next*frameSize + int(h.mac)
		n = copy(into, d.ring[from:from+int(h.length)])
	}
	atomic.StoreUint32(&h.status, unix.TP_STATUS_KERNEL)
	d.next = (d.next + 1) % slots
	return n, arrival
}

// send sends a frame and says whether the device took it: not when it is down at the far end, or its queue is full.
func (d *device) send(frame []byte) bool {
	for {
		_, _, err := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(d.fd), uintptr(unsafe.Pointer(&frame[0])), uintptr(len(frame)), unix.MSG_DONTWAIT, 0, 0)
		if err != unix.EINTR {
			return err == 0
		}
	}
}

// missed is how many frames the ring had no room for since the last call.
func (d *device) missed() uint64 {
	s, err := unix.GetsockoptTpacketStats(d.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0
	}
	return uint64(s.Drops)
}
