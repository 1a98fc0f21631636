package udp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/port"
)

// line is two network namespaces with a cable between them.
type line struct {
	a, b   port.Where
	handle *netlink.Handle // in the namespace of a
	cable  netlink.Link
}

var lines atomic.Int32

// newLine makes one, gone at the end of the test.
func newLine(t *testing.T, mtu int) line {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root (CAP_SYS_ADMIN, CAP_NET_ADMIN)")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := netns.Get()
	if err != nil {
		t.Skipf("no network namespaces here: %v", err)
	}
	defer home.Close()
	n := lines.Add(1)
	names := [2]string{fmt.Sprintf("udptest-a-%d-%d", os.Getpid(), n), fmt.Sprintf("udptest-b-%d-%d", os.Getpid(), n)}
	var handles [2]netns.NsHandle
	for i, name := range names {
		h, err := netns.NewNamed(name)
		if back := netns.Set(home); back != nil {
			t.Fatal(back)
		}
		if err != nil {
			t.Skipf("cannot make a network namespace: %v", err)
		}
		handles[i] = h
		t.Cleanup(func() {
			h.Close()
			netns.DeleteNamed(name)
		})
	}
	l := line{
		a: port.Where{Netns: names[0], Address: netip.MustParseAddr("10.77.0.1")},
		b: port.Where{Netns: names[1], Address: netip.MustParseAddr("10.77.0.2")},
	}
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.MTU, attributes.Namespace = "cable", mtu, netlink.NsFd(int(handles[0]))
	veth := &netlink.Veth{LinkAttrs: attributes, PeerName: "cable", PeerMTU: uint32(mtu), PeerNamespace: netlink.NsFd(int(handles[1]))}
	if err := netlink.LinkAdd(veth); err != nil {
		t.Skipf("cannot make a veth pair: %v", err)
	}
	for i, where := range []port.Where{l.a, l.b} {
		h, err := netlink.NewHandleAt(handles[i])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(h.Close)
		cable, err := h.LinkByName("cable")
		if err != nil {
			t.Fatal(err)
		}
		address := &netlink.Addr{IPNet: &net.IPNet{IP: where.Address.AsSlice(), Mask: net.CIDRMask(24, 32)}}
		if err := errors.Join(h.AddrAdd(cable, address), h.LinkSetUp(cable)); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			l.handle, l.cable = h, cable
		}
	}
	return l
}

func TestAcrossNamespaces(t *testing.T) {
	l := newLine(t, 1300)
	b := bench{params: netp.Params{"count": 100.0, "rate": "1000pps", "size": 1272.0, "direction": "both"}, from: l.a, at: l.b, separate: true}
	r := b.merged(t)
	for _, prefix := range []string{"forward.", "reverse."} {
		if got := figure(t, r, prefix+metricReceived); got != 100 {
			t.Errorf("%sreceived %v; want 100", prefix, got)
		}
		if got := r.Facts[prefix+"path_mtu"]; got != "1300" {
			t.Errorf("%spath_mtu %s; want 1300", prefix, got)
		}
		delay := r.Metrics[prefix+metricDelay]
		if low := float64(delay.Distribution.All.Min())*1e-9 + delay.Uncertainty; low < 0 {
			t.Errorf("%sthe smallest delay is negative beyond its error: %v ± %v", prefix, low-delay.Uncertainty, delay.Uncertainty)
		}
	}
}

// TestOverMTU: what does not fit is an error that names what does.
func TestOverMTU(t *testing.T) {
	l := newLine(t, 1300)
	b := bench{params: netp.Params{"count": 10.0, "size": 1400.0}, from: l.a, at: l.b}
	i, _ := b.run(t)
	if i.Failure == nil || i.Failure.Kind != netp.FailureUnsupported {
		t.Fatalf("failure %+v; want unsupported", i.Failure)
	}
	t.Log(i.Failure.Detail)
}

// TestCableCut: a path that dies is an interruption, and what was measured is kept.
func TestCableCut(t *testing.T) {
	t.Parallel()
	l := newLine(t, 1500)
	var cut atomic.Bool
	b := bench{params: netp.Params{"rate": "100pps", "duration": 30.0, "timeout": 0.5}, from: l.a, at: l.b}
	b.progress = func(p netp.Progress) {
		if p.Values["sent"] > 20 && cut.CompareAndSwap(false, true) {
			if err := l.handle.LinkSetDown(l.cable); err != nil {
				t.Error(err)
			}
		}
	}
	i, r := b.run(t)
	for part, one := range map[string]netp.Result{"sender": i, "receiver": r} {
		if one.Completed || one.Failure == nil || one.Failure.Kind != netp.FailureInterrupted {
			t.Errorf("%s: completed %v, failure %+v; want interrupted", part, one.Completed, one.Failure)
		}
	}
	if got := figure(t, r, metricReceived); got < 20 {
		t.Errorf("received %v; want what arrived before the cut", got)
	}
	if c := checkOf(t, i, checkSocket); c.OK {
		t.Log("the system took the packets although the cable was cut")
	}
}
