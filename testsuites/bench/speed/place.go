//go:build linux

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// place is where a comparison runs: loopback, or two network namespaces with a veth pair between them. The namespaces have no
// name and end with this process, however it ends.
type place struct {
	name         string
	near, far    netns.NsHandle // of client and server; closed handles for loopback
	source, dest string         // their addresses
}

// loopback is this host.
func loopback() place {
	return place{name: "loopback", near: netns.None(), far: netns.None(), source: "127.0.0.1", dest: "127.0.0.1"}
}

// newWire makes two namespaces with a veth pair.
func newWire() (p place, err error) {
	p = place{name: "veth", near: netns.None(), far: netns.None(), source: "10.86.8.1", dest: "10.86.8.2"}
	defer func() {
		if err != nil {
			p.close()
			err = fmt.Errorf("a veth pair between two network namespaces, which needs root: %w", err)
		}
	}()
	if p.near, err = newNamespace(); err != nil {
		return p, err
	}
	if p.far, err = newNamespace(); err != nil {
		return p, err
	}
	err = inside(p.near, func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "eth0"
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(p.far)})
	})
	if err != nil {
		return p, err
	}
	for ns, address := range map[netns.NsHandle]string{p.near: p.source, p.far: p.dest} {
		if err := inside(ns, func() error { return setUp(address) }); err != nil {
			return p, err
		}
	}
	return p, nil
}

// setUp brings the links of the namespace it is called in up, with its address.
func setUp(address string) error {
	for _, name := range []string{"lo", "eth0"} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if name == "eth0" {
			network := &net.IPNet{IP: net.ParseIP(address), Mask: net.CIDRMask(24, 32)}
			if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: network}); err != nil {
				return err
			}
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return err
		}
	}
	return nil
}

func newNamespace() (netns.NsHandle, error) {
	made := netns.None()
	err := onThread(func() (err error) {
		made, err = netns.New() // the thread is in it now, and ends
		return err
	})
	return made, err
}

// inside calls f in a namespace; none is where we are.
func inside(ns netns.NsHandle, f func() error) error {
	if !ns.IsOpen() {
		return f()
	}
	return onThread(func() error {
		if err := netns.Set(ns); err != nil {
			return err
		}
		return f()
	})
}

// onThread calls f on a thread that ends with it.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread is not used again
		done <- f()
	}()
	return <-done
}

func (p place) close() {
	for _, ns := range []*netns.NsHandle{&p.near, &p.far} {
		if ns.IsOpen() {
			ns.Close()
		}
	}
}

// start starts a command in a namespace.
func start(ns netns.NsHandle, c *exec.Cmd) error {
	return inside(ns, c.Start)
}

// output runs a command in a namespace and gives what it printed.
func output(ns netns.NsHandle, c *exec.Cmd) ([]byte, error) {
	out, err := os.CreateTemp("", "netp-speed-out-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	c.Stdout = out
	if err := start(ns, c); err != nil {
		return nil, err
	}
	failed := c.Wait()
	text, err := os.ReadFile(out.Name())
	if failed == nil {
		failed = err
	}
	return text, failed
}

// processor is the CPU time of a process that has ended [s].
func processor(c *exec.Cmd) float64 {
	return (c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Seconds()
}
