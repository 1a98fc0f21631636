//go:build !linux

package tcp

import (
	"runtime"

	"github.com/netpupper/netp"
)

// setCongestion chooses the congestion control of the socket. Its errors are of type *netp.Failure.
func setCongestion(_ uintptr, name string) error {
	return failure(netp.FailureUnsupported, "The sending host cannot choose the congestion control %q: that needs Linux, and this is %s. Remove congestion.", name, runtime.GOOS)
}

// setMSS bounds the segments of both directions; before the socket is connected. Its errors are of type *netp.Failure.
func setMSS(uintptr, int) error {
	return failure(netp.FailureUnsupported, "The host of the initiator cannot choose the mss: that needs Linux, and this is %s. Remove mss.", runtime.GOOS)
}

// smooth tells the kernel to send no burst faster than rate [B/s]; it reports whether it will.
func smooth(uintptr, float64) bool { return false }

// setThin keeps the control connection quick after losses; a host that cannot is only slower.
func setThin(uintptr) {}

// congestionOf reads back what the socket uses.
func congestionOf(uintptr) string { return "" }

// buffersOf reads the effective sizes of the buffers [B]; 0 when unknown.
func buffersOf(uintptr) (send, receive int) { return 0, 0 }

// figuresOf reads TCP_INFO; known is false when the host has none.
func figuresOf(uintptr) figures { return figures{} }
