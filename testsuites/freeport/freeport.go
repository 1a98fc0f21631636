// Package freeport finds addresses for servers that tests start as processes of their own. Start with Address.
package freeport

import (
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"testing"
)

// last is the one that Address tried last.
var last atomic.Int32

// Address gives an address on loopback that is free, below the ports that the system gives to those who ask for any: nobody else
// gets it before it is used, or between two uses.
func Address(t *testing.T) string {
	t.Helper()
	for range 1000 {
		address := fmt.Sprint("127.0.0.1:", 10_000+(os.Getpid()*97+int(last.Add(1)))%20_000)
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("no address is free")
	return ""
}

// Port is the port of an Address.
func Port(t *testing.T) int {
	t.Helper()
	address, err := net.ResolveTCPAddr("tcp", Address(t))
	if err != nil {
		t.Fatal(err)
	}
	return address.Port
}
