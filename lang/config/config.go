// Package config reads the configuration files of netp's daemons: the agent's and
// the controller's. They are HCL in the syntax of suites, with its units and
// functions and without references, and they are strict: whatever is unknown,
// contradictory or of the wrong unit is a diagnostic, and all of them are told at
// once. What comes out are plain values.
//
// It opens nothing that a file names, and knows no flags: whoever calls it says
// what holds where the file is silent, and lets flags win afterwards.
//
// Start with ReadAgent and ReadController.
package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/lang/diag"
)

// Options say with what a file is read.
type Options struct {
	// Environ looks up a variable of the environment for env(); nil makes env() a fault.
	Environ func(name string) (string, bool)
	// Kinds are those an agent can run.
	Kinds []string
	// CheckEndpoint says why a pattern of an agent's endpoints is none; nil takes all.
	CheckEndpoint func(pattern string) error
}

// ParseListen takes [ADDRESS]:PORT apart, the form of listen and -listen. Without
// an address, or with an unspecified one, the address is invalid: all of the host's.
func ParseListen(text string) (netip.Addr, uint16, error) {
	host, number, err := net.SplitHostPort(text)
	if err != nil {
		return netip.Addr{}, 0, errors.New("write [ADDRESS]:PORT, as in :8620 or 192.0.2.1:8620")
	}
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return netip.Addr{}, 0, fmt.Errorf("%q is no port", number)
	}
	if host == "" {
		return netip.Addr{}, uint16(port), nil
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}, 0, fmt.Errorf("%q is no IP address", host)
	}
	return address, uint16(port), nil
}

// ParseNetwork reads an address or a network: 192.0.2.0/24.
func ParseNetwork(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, errors.New("write a network such as 192.0.2.0/24, or an address")
	}
	return p.Masked(), nil
}

// read opens a file and hands it to a decoder; the value counts only without errors.
func read[T any](file, what string, shape lang.Shape, o Options, decode func(*lang.Document) T) (T, diag.List) {
	d := lang.OpenDocument(file, what, shape, o.Environ)
	value := decode(d)
	return value, d.List()
}
