//go:build linux

package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/netpupper/netp/testsuites/lab/emulator"
)

// MTU is that of all devices.
const MTU = 1500

// End is where a line ends: a device of a node, with an address, or one of each version of IP.
type End struct {
	Node   *Node
	Device string // made with the line
	// Address is of either version. Address6, of IPv6, is a second one; the zero value is none.
	Address, Address6 netip.Prefix
}

// addresses are those that the end has.
func (e End) addresses() []netip.Prefix {
	return slices.DeleteFunc([]netip.Prefix{e.Address, e.Address6}, func(p netip.Prefix) bool { return !p.IsValid() })
}

// Line is a line that the emulator works.
type Line struct {
	Ends     [2]End
	Forward  *Way // from the first end to the second
	Backward *Way
	line     *emulator.Line
}

// Way is one direction of a line.
type Way struct {
	line      *Line
	direction int
}

// Set changes what happens to the packets that enter from now on.
func (w *Way) Set(i emulator.Impair) error { return w.line.line.Set(w.direction, i) }

// Reset begins counting, numbering and the audit of lateness anew.
func (w *Way) Reset() error { return w.line.line.Reset(w.direction) }

// Record keeps records of packets from now on, up to a limit; 0 ends it.
func (w *Way) Record(limit int) error { return w.line.line.Record(w.direction, limit) }

// Take gives the records so far and forgets them.
func (w *Way) Take() ([]emulator.Record, error) { return w.line.line.Take(w.direction) }

// Count gives what the direction did, and how late.
func (w *Way) Count() (emulator.Counters, emulator.Lateness, error) {
	return w.line.line.Count(w.direction)
}

// Cable joins two nodes directly.
func (l *Lab) Cable(a, b End) error {
	_, macA := l.address()
	_, macB := l.address()
	if err := l.veth(device{a.Node, a.Device, macA}, device{b.Node, b.Device, macB}); err != nil {
		return err
	}
	return errors.Join(a.prepare(b, macB), b.prepare(a, macA))
}

// Line joins two nodes by a line without impairments.
func (l *Lab) Line(a, b End) (*Line, error) {
	line := &Line{Ends: [2]End{a, b}}
	var macs [2]net.HardwareAddr
	var sockets [2]int
	var both errgroup.Group // the kernel takes milliseconds to set up a packet socket, of waiting
	for i, end := range line.Ends {
		both.Go(func() (err error) {
			var number int
			number, macs[i] = l.address()
			_, other := l.address()
			name := fmt.Sprintf("w%d", number)
			if err := l.veth(device{end.Node, end.Device, macs[i]}, device{l.wire, name, other}); err != nil {
				return err
			}
			sockets[i], err = l.attach(name)
			return err
		})
	}
	err := both.Wait()
	if err != nil {
		return nil, err
	}
	if line.line, err = l.Emulator.Add(sockets); err != nil {
		return nil, err
	}
	line.Forward, line.Backward = &Way{line, 0}, &Way{line, 1}
	return line, errors.Join(a.prepare(b, macs[1]), b.prepare(a, macs[0]))
}

// attach makes a device of the wire namespace an end of a line.
func (l *Lab) attach(name string) (int, error) {
	link, err := l.wire.handle.LinkByName(name)
	if err != nil {
		return -1, fmt.Errorf("find device %s: %w", name, err)
	}
	// Without ARP the kernel answers nothing there, and without an address it takes nothing.
	if err := errors.Join(l.wire.handle.LinkSetARPOff(link), l.wire.plain(name), l.wire.handle.LinkSetUp(link)); err != nil {
		return -1, fmt.Errorf("set up device %s: %w", name, err)
	}
	socket := -1
	err = l.wire.Do(func() (err error) {
		socket, err = emulator.Attach(link.Attrs().Index)
		return err
	})
	return socket, err
}

// device is one to make.
type device struct {
	node *Node
	name string
	mac  net.HardwareAddr
}

// veth makes a pair of devices.
func (l *Lab) veth(a, b device) error {
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.MTU, attributes.HardwareAddr = a.name, MTU, a.mac
	attributes.Namespace = netlink.NsFd(a.node.fd)
	pair := &netlink.Veth{LinkAttrs: attributes, PeerName: b.name, PeerMTU: MTU, PeerHardwareAddr: b.mac, PeerNamespace: netlink.NsFd(b.node.fd)}
	if err := l.wire.handle.LinkAdd(pair); err != nil {
		return fmt.Errorf("join %s of %s and %s of %s: %w", a.name, a.node.Name, b.name, b.node.Name, err)
	}
	return nil
}

// prepare sets up the device of an end: its addresses, and those of its peer, so that nobody has to ask for them (ARP, RFC 4861).
func (e End) prepare(peer End, mac net.HardwareAddr) error {
	h := e.Node.handle
	link, err := h.LinkByName(e.Device)
	if err != nil {
		return fmt.Errorf("find device %s of %s: %w", e.Device, e.Node.Name, err)
	}
	failed := []error{e.Node.plain(e.Device)}
	for _, own := range e.addresses() {
		if own.Addr().Is6() {
			failed = append(failed, e.Node.speak6(e.Device))
		}
		failed = append(failed, h.AddrAdd(link, addressOf(own)))
	}
	failed = append(failed, h.LinkSetUp(link))
	for _, its := range peer.addresses() {
		failed = append(failed, h.NeighAdd(&netlink.Neigh{
			LinkIndex: link.Attrs().Index, Family: family(its.Addr()), State: netlink.NUD_PERMANENT,
			IP: its.Addr().AsSlice(), HardwareAddr: mac,
		}))
	}
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("set up device %s of %s: %w", e.Device, e.Node.Name, err)
	}
	return nil
}

// Up switches a device on or off.
func (n *Node) Up(device string, up bool) error {
	link, err := n.handle.LinkByName(device)
	if err != nil {
		return fmt.Errorf("find device %s of %s: %w", device, n.Name, err)
	}
	if up {
		return n.handle.LinkSetUp(link)
	}
	return n.handle.LinkSetDown(link)
}

// MTU sets the longest IP packet that a device sends; what is longer a router drops and says so (RFC 1191), unless it may cut it.
func (n *Node) MTU(device string, bytes int) error {
	link, err := n.handle.LinkByName(device)
	if err != nil {
		return fmt.Errorf("find device %s of %s: %w", device, n.Name, err)
	}
	return n.handle.LinkSetMTU(link, bytes)
}

// plain switches a device's offloads off: else a "packet" has up to 64 KiB, and checksums are not there to be checked.
func (n *Node) plain(device string) error {
	const siocEthtool = 0x8946
	for name, command := range map[string]uint32{"tso": 0x1f, "gso": 0x24, "gro": 0x2c, "rx checksum": 0x15, "tx checksum": 0x17} {
		value := struct{ command, value uint32 }{command: command}
		request := struct {
			name [unix.IFNAMSIZ]byte
			data unsafe.Pointer
			_    [16]byte
		}{data: unsafe.Pointer(&value)}
		copy(request.name[:unix.IFNAMSIZ-1], device)
		if _, _, err := unix.Syscall(unix.SYS_IOCTL, uintptr(n.ioctl), siocEthtool, uintptr(unsafe.Pointer(&request))); err != 0 {
			return fmt.Errorf("switch %s off: %w", name, err)
		}
	}
	return nil
}

// addressOf makes an address for a device. One of IPv6 is not tried out first (RFC 4862 §5.4): nobody else has it.
func addressOf(p netip.Prefix) *netlink.Addr {
	a := &netlink.Addr{IPNet: ipNet(p)}
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	return a
}

// family is the address family of an address, for the kernel.
func family(a netip.Addr) int {
	if a.Is6() {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
