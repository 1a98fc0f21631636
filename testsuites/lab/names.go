//go:build linux

package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// Answers of a name server.
const (
	ServerFailure = 2 // SERVFAIL
	NoSuchName    = 3 // NXDOMAIN
	Refused       = 5 // REFUSED
)

// NameServer is a name server of the lab, and how it is sick. It answers each question after Delay, or not at all.
type NameServer struct {
	// Names are the addresses of the names that it knows. Of others it says that there are none (NXDOMAIN).
	Names     map[string][]netip.Addr
	Silent    bool
	Truncated bool // says that the whole answer is to be had over TCP, where nobody listens
	Code      int  // its answer to all questions; 0 is none, and it answers from Names
	Delay     time.Duration
}

// ServeNames runs a name server in the node until it is closed. A program finds it by the resolv.conf of StartResolving, or
// because of ResolveBy.
func (n *Node) ServeNames(at netip.AddrPort, s NameServer) (stop func(), err error) {
	conn, err := n.Listen(at)
	if err != nil {
		return nil, err
	}
	var serving sync.WaitGroup
	serving.Go(func() { s.serve(conn) })
	return func() { conn.Close(); serving.Wait() }, nil
}

// ResolveBy has a name server answer all questions that programs in the node ask by UDP, whichever server they ask. It ends with
// the lab.
func (n *Node) ResolveBy(s NameServer) error {
	hosts := []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	if n.six.Load() {
		hosts = append(hosts, netip.IPv6Loopback())
	}
	for _, host := range hosts {
		stop, err := n.ServeNames(netip.AddrPortFrom(host, dnsPort), s)
		if err != nil {
			return fmt.Errorf("serve names in %s: %w", n.Name, err)
		}
		n.ending = append(n.ending, stop)
	}
	return n.redirect(unix.IPPROTO_UDP, dnsPort)
}

// dnsPort is where questions go.
const dnsPort = 53

// serve answers until the socket is closed.
func (s NameServer) serve(conn *net.UDPConn) {
	packet := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(packet)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || s.Silent {
			continue
		}
		answer := s.answer(packet[:n])
		switch {
		case answer == nil:
		case s.Delay > 0:
			time.AfterFunc(s.Delay, func() { conn.WriteToUDPAddrPort(answer, from) })
		default:
			conn.WriteToUDPAddrPort(answer, from)
		}
	}
}

// answer makes the answer to a packet (RFC 1035 §4.1), nil when that is no question.
func (s NameServer) answer(packet []byte) []byte {
	var parser dnsmessage.Parser
	header, err := parser.Start(packet)
	if err != nil || header.Response {
		return nil
	}
	question, err := parser.Question()
	if err != nil {
		return nil
	}
	header.Response, header.RecursionAvailable, header.Truncated = true, true, s.Truncated
	header.RCode = dnsmessage.RCode(s.Code)
	known, ok := s.Names[strings.ToLower(strings.TrimSuffix(question.Name.String(), "."))]
	if header.RCode == 0 && !ok {
		header.RCode = NoSuchName
	}
	b := dnsmessage.NewBuilder(nil, header)
	failed := []error{b.StartQuestions(), b.Question(question), b.StartAnswers()}
	for _, a := range known {
		h := dnsmessage.ResourceHeader{Name: question.Name, Class: question.Class}
		switch {
		case header.RCode != 0 || s.Truncated:
		case a.Is4() && question.Type == dnsmessage.TypeA:
			failed = append(failed, b.AResource(h, dnsmessage.AResource{A: a.As4()}))
		case a.Is6() && question.Type == dnsmessage.TypeAAAA:
			failed = append(failed, b.AAAAResource(h, dnsmessage.AAAAResource{AAAA: a.As16()}))
		}
	}
	out, err := b.Finish()
	if errors.Join(append(failed, err)...) != nil {
		return nil
	}
	return out
}
