package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strings"

	"github.com/netpupper/netp/lang/config"
)

// maxAdvertised bounds the addresses in a token.
const maxAdvertised = 4

var hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?$`)

// addresses are those, HOST:PORT, by which agents reach the API and the bus.
func addresses(s config.Controller, api net.Addr) (controllers, buses []string, err error) {
	for _, h := range s.Advertise {
		if _, err := netip.ParseAddr(strings.Trim(h, "[]")); err != nil && !hostName.MatchString(h) {
			return nil, nil, fmt.Errorf("-advertise %s: write a host or an address, without scheme and port, as in netp.example.net", h)
		}
	}
	apiHost, _, err := net.SplitHostPort(s.HTTP)
	if err != nil {
		return nil, nil, fmt.Errorf("-http %s: %w", s.HTTP, err)
	}
	_, apiPort, err := net.SplitHostPort(api.String())
	if err != nil {
		return nil, nil, err
	}
	busHost, busPort, err := net.SplitHostPort(s.Bus)
	if err == nil && (busPort == "0" || busPort == "") {
		err = errors.New("agents are told the port, so it must be a fixed one")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("-bus %s: %w", s.Bus, err)
	}
	apiHosts, err := hosts(s.Advertise, apiHost)
	if err != nil {
		return nil, nil, err
	}
	busHosts, err := hosts(s.Advertise, busHost)
	if err != nil {
		return nil, nil, err
	}
	return withPort(apiHosts, apiPort), withPort(busHosts, busPort), nil
}

// hosts are the advertised ones, or the one listened on, or the machine's own.
func hosts(advertised []string, listened string) ([]string, error) {
	if len(advertised) > 0 {
		return advertised, nil
	}
	if a, err := netip.ParseAddr(listened); listened != "" && (err != nil || !a.IsUnspecified()) {
		return []string{listened}, nil
	}
	found, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("find the addresses of this host: %w", err)
	}
	var out []string
	for _, f := range found {
		if p, err := netip.ParsePrefix(f.String()); err == nil && p.Addr().IsGlobalUnicast() && len(out) < maxAdvertised {
			out = append(out, p.Addr().Unmap().String())
		}
	}
	if len(out) == 0 {
		name, err := os.Hostname()
		if err != nil {
			return nil, errors.New("this host has no address that others could reach; name one with -advertise HOST")
		}
		out = []string{name}
	}
	return out, nil
}

func withPort(hosts []string, port string) []string {
	out := make([]string, len(hosts))
	for i, h := range hosts {
		out[i] = net.JoinHostPort(strings.Trim(h, "[]"), port)
	}
	return out
}
