//go:build linux

package lab

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/netpupper/netp/testsuites/lab/emulator"
)

// ErrPrivilege is the error of a system that does not let this user make networks.
var ErrPrivilege = errors.New("a network lab needs root (CAP_NET_ADMIN and CAP_SYS_ADMIN), or a system that allows user namespaces")

// Options of a lab. The zero value makes an anonymous one.
type Options struct {
	// Prefix names the namespaces PREFIX-NODE under /run/netns, for programs that find them by name. Without it they have no
	// names and are found by Node.Path.
	Prefix string
}

// Lab is a network. It has one emulator, that all its lines share. Its methods may be called concurrently.
type Lab struct {
	Emulator *emulator.Client
	options  Options

	mu      sync.Mutex // guards the fields below
	wire    *Node      // where the ends of the emulated lines are
	nodes   []*Node
	devices int // made so far
	closed  bool
}

// New makes an empty lab. Its owner's main function has to begin with Main.
func New(o Options) (*Lab, error) {
	if !Privileged() {
		return nil, ErrPrivilege
	}
	client, err := emulator.Start()
	if err != nil {
		return nil, err
	}
	l := &Lab{Emulator: client, options: o}
	fd, err := namespace()
	if err == nil {
		l.wire, err = l.node("wire", fd)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Close ends the lab: its emulator, the processes started in its nodes, and the namespaces, unless others are in them.
func (l *Lab) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	failed := []error{l.Emulator.Close()} // which ends the processes and removes the names
	for _, n := range l.nodes {
		n.close()
	}
	return errors.Join(failed...)
}

// Node makes a node: an empty network namespace with loopback up, and IPv6 off on all devices that have no address of it.
func (l *Lab) Node(name string) (*Node, error) {
	fd, err := namespace()
	if err != nil {
		return nil, err
	}
	n, err := l.node(name, fd)
	if err != nil || l.options.Prefix == "" {
		return n, err
	}
	return n, n.publish(l.options.Prefix + "-" + name)
}

// node makes a node of a namespace, which is its own then.
func (l *Lab) node(name string, fd int) (*Node, error) {
	n := &Node{Name: name, lab: l, fd: fd, ioctl: -1}
	l.mu.Lock()
	l.nodes = append(l.nodes, n)
	l.mu.Unlock()
	err := n.Do(func() (err error) {
		if n.ioctl, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		n.handle, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open namespace %s: %w", name, err)
	}
	for _, which := range []string{"all", "default"} {
		// Neighbour discovery would be among the packets of a line. A kernel without IPv6 has no such file, nor needs one.
		n.Sysctl("ipv6/conf/"+which+"/disable_ipv6", "1")
	}
	lo, err := n.handle.LinkByName("lo")
	if err != nil {
		return nil, fmt.Errorf("find loopback of %s: %w", name, err)
	}
	return n, n.handle.LinkSetUp(lo)
}

// Router makes a node that forwards, without a say of its own in which way answers come back.
func (l *Lab) Router(name string) (*Node, error) {
	n, err := l.Node(name)
	if err != nil {
		return nil, err
	}
	n.Sysctl("ipv6/conf/all/forwarding", "1") // if there is IPv6
	return n, errors.Join(
		n.Sysctl("ipv4/ip_forward", "1"),
		n.Sysctl("ipv4/conf/all/rp_filter", "0"), n.Sysctl("ipv4/conf/default/rp_filter", "0"),
		n.Sysctl("ipv4/conf/all/send_redirects", "0"), n.Sysctl("ipv4/conf/default/send_redirects", "0"),
	)
}

// namespace makes a network namespace and gives a descriptor of it.
func namespace() (int, error) {
	type made struct {
		fd  int
		err error
	}
	done := make(chan made)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- made{-1, fmt.Errorf("make a network namespace: %w", err)}
			return
		}
		fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		done <- made{fd, err}
	}()
	m := <-done
	return m.fd, m.err
}

// Privileged says whether this process may make networks.
func Privileged() bool {
	fd, err := namespace()
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
}

// address is a hardware address that no other device of the lab has.
func (l *Lab) address() (number int, mac net.HardwareAddr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.devices++
	n := l.devices
	return n, net.HardwareAddr{2, 0x6c, 0x61, byte(n >> 16), byte(n >> 8), byte(n)}
}
