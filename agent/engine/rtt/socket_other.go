//go:build !linux

package rtt

import (
	"errors"
	"net"
)

const kernelSockets = false

func newKernelSocket(int, bool, func() error) (socket, error) { return nil, errors.ErrUnsupported }
func newConnSocket(*net.UDPConn) (socket, error)              { return nil, errors.ErrUnsupported }
