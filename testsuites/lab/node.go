//go:build linux

package lab

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// names is where programs look for network namespaces by name.
const names = "/run/netns"

// Node is a network namespace: a site, a router, a host.
type Node struct {
	Name   string
	lab    *Lab
	fd     int
	ioctl  int // a socket in it
	handle *netlink.Handle
	named  string
	six    atomic.Bool // it speaks IPv6; the sites around a carrier are built side by side
	ending []func()    // what runs in it beside programs
}

// Path is the namespace for programs that take one (an agent's netns): its name, or a path that is valid while this process
// lives.
func (n *Node) Path() string {
	if n.named != "" {
		return n.named
	}
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.fd)
}

// Do calls open on a thread in the namespace. Sockets that it opens stay there; goroutines that it starts do not.
func (n *Node) Do(open func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		if err := unix.Setns(n.fd, unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter namespace %s: %w", n.Name, err)
			return
		}
		done <- open()
	}()
	return <-done
}

// Start starts a program in the namespace. It ends with this process at the latest, and with the lab.
func (n *Node) Start(c *exec.Cmd) error { return n.start(c, func() error { return nil }) }

// StartResolving starts a program in the namespace that finds another /etc/resolv.conf than this host's.
func (n *Node) StartResolving(c *exec.Cmd, resolvConf string) error {
	return n.start(c, func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("make a mount namespace: %w", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("make mounts private: %w", err)
		}
		file, err := os.CreateTemp("", "resolv-")
		if err != nil {
			return err
		}
		defer os.Remove(file.Name())
		defer file.Close()
		if _, err := file.WriteString(resolvConf); err != nil {
			return err
		}
		if err := unix.Mount(file.Name(), "/etc/resolv.conf", "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount a resolv.conf: %w", err)
		}
		return file.Chmod(0o644)
	})
}

func (n *Node) start(c *exec.Cmd, before func() error) error {
	process := -1
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	c.SysProcAttr.PidFD = &process
	err := n.Do(func() error {
		if err := before(); err != nil {
			return err
		}
		return c.Start()
	})
	if err != nil || process < 0 {
		return err
	}
	defer unix.Close(process)
	return n.lab.Emulator.Guard(process)
}

// Run runs a program in the namespace and gives what it printed.
func (n *Node) Run(name string, args ...string) ([]byte, error) {
	c := exec.Command(name, args...)
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	c.Stdout, c.Stderr = w, w
	err = n.Start(c)
	w.Close()
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(r)
	if ended := c.Wait(); ended != nil {
		return out, fmt.Errorf("%s: %w: %s", name, ended, out)
	}
	return out, err
}

// Sysctl sets a value below /proc/sys/net.
func (n *Node) Sysctl(path, value string) error {
	return n.Do(func() error { return os.WriteFile("/proc/sys/net/"+path, []byte(value), 0) })
}

// speak6 lets a device speak IPv6, with no address that it was not given, and so without announcements.
func (n *Node) speak6(device string) error {
	n.six.Store(true)
	return n.Do(func() error {
		var failed []error
		for _, set := range [][2]string{{device + "/addr_gen_mode", "1"}, {device + "/accept_ra", "0"}, {device + "/disable_ipv6", "0"}, {"lo/disable_ipv6", "0"}} {
			failed = append(failed, os.WriteFile("/proc/sys/net/ipv6/conf/"+set[0], []byte(set[1]), 0))
		}
		return errors.Join(failed...)
	})
}

// Listen opens a UDP socket in the namespace.
func (n *Node) Listen(address netip.AddrPort) (conn *net.UDPConn, err error) {
	err = n.Do(func() error {
		network := "udp4"
		if address.Addr().Is6() {
			network = "udp6"
		}
		conn, err = net.ListenUDP(network, net.UDPAddrFromAddrPort(address))
		return err
	})
	return conn, err
}

// publish gives the namespace a name for other programs.
func (n *Node) publish(name string) error {
	if err := os.MkdirAll(names, 0o755); err != nil {
		return err
	}
	path := filepath.Join(names, name)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return fmt.Errorf("name namespace %s: %w", name, err)
	}
	file.Close()
	if err := n.lab.Emulator.Sweep(path); err != nil {
		return err
	}
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", n.fd), path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("name namespace %s: %w", name, err)
	}
	n.named = name
	return nil
}

func (n *Node) close() {
	for _, end := range n.ending {
		end()
	}
	if n.named != "" { // the emulator has done so, unless it crashed
		path := filepath.Join(names, n.named)
		unix.Unmount(path, unix.MNT_DETACH)
		os.Remove(path)
	}
	if n.handle != nil {
		n.handle.Close()
	}
	if n.ioctl >= 0 {
		unix.Close(n.ioctl)
	}
	unix.Close(n.fd)
}
