//go:build linux

package lab

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
)

// Shape limits what leaves through a device to bits per second, in the kernel. The frames count, with their 14 bytes of
// Ethernet. Limit is how many bytes wait at most: a deep one makes a bufferbloat, if the device is a router's (a sender's own
// socket buffer bounds what waits).
func (n *Node) Shape(device string, bitsPerSecond float64, limit int) error {
	link, err := n.handle.LinkByName(device)
	if err != nil {
		return fmt.Errorf("find device %s of %s: %w", device, n.Name, err)
	}
	rate := uint64(bitsPerSecond / 8)
	burst := max(uint32(rate/250), 3*(MTU+14)) // a tick of the kernel's timer
	qdisc := &netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
		Rate:       rate, Limit: uint32(max(limit, 3*(MTU+14))), Buffer: netlink.Xmittime(rate, burst),
	}
	n.Unshape(device) // another kind is not replaced in place
	if err := n.handle.QdiscAdd(qdisc); err != nil {
		return fmt.Errorf("shape %s of %s: %w", device, n.Name, err)
	}
	return nil
}

// Share limits what leaves through a device by a class of HTB, which borrows nothing.
func (n *Node) Share(device string, bitsPerSecond float64) error {
	link, err := n.handle.LinkByName(device)
	if err != nil {
		return fmt.Errorf("find device %s of %s: %w", device, n.Name, err)
	}
	index := link.Attrs().Index
	root := netlink.NewHtb(netlink.QdiscAttrs{LinkIndex: index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT})
	root.Defcls = 1
	class := netlink.NewHtbClass(
		netlink.ClassAttrs{LinkIndex: index, Parent: netlink.MakeHandle(1, 0), Handle: netlink.MakeHandle(1, 1)},
		netlink.HtbClassAttrs{Rate: uint64(bitsPerSecond), Ceil: uint64(bitsPerSecond)})
	n.Unshape(device) // HTB is not replaced in place
	if err := errors.Join(n.handle.QdiscAdd(root), n.handle.ClassAdd(class)); err != nil {
		return fmt.Errorf("shape %s of %s: %w", device, n.Name, err)
	}
	return nil
}

// Unshape takes the limit away.
func (n *Node) Unshape(device string) error {
	link, err := n.handle.LinkByName(device)
	if err != nil {
		return fmt.Errorf("find device %s of %s: %w", device, n.Name, err)
	}
	return n.handle.QdiscDel(&netlink.GenericQdisc{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT}, QdiscType: "tbf",
	})
}
