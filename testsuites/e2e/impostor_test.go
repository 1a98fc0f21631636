package e2e

import (
	"crypto/tls"
	"io"
	"net"

	"github.com/netpupper/netp/runner/enrol"
)

// eavesdrop plays the controller to one client with the keys of another authority,
// and tells what the client said under its encryption.
func eavesdrop(l net.Listener, authority *enrol.Authority, heard chan<- []byte) {
	defer close(heard)
	c, err := l.Accept()
	if err != nil {
		return
	}
	defer c.Close()
	said, _ := io.ReadAll(tls.Server(c, authority.HTTPTLS())) // the error is that the client hung up
	heard <- said
}
