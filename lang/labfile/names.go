package labfile

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/netpupper/netp/lang"
)

// Names is the name server of a site.
type Names struct {
	// Fail is how it fails to answer, one of the constants below; "" when it answers.
	Fail string
	// Delay is how long it takes to answer.
	Delay time.Duration
	// Names are the addresses of the names that it knows, in lower case.
	Names map[string][]netip.Addr
}

// Failures of a name server.
const (
	NoSuchName    = "nxdomain"
	ServerFailure = "servfail"
	Refused       = "refused"
	Timeout       = "timeout"
	Truncated     = "truncated"
)

func dnsShape() lang.Shape { return lang.Shape{Args: []string{"fail", "delay", "names"}} }

// maxDelay is longer than any program waits for an answer.
const maxDelay = time.Minute

func readNames(b lang.Block) *Names {
	n := &Names{Delay: b.Duration("delay", 0), Names: map[string][]netip.Addr{}}
	if b.Has("fail") {
		n.Fail = b.Choice("fail", []string{NoSuchName, ServerFailure, Refused, Timeout, Truncated})
	}
	if n.Delay > maxDelay {
		b.Invalid("delay", "A name server takes a minute at most. Write fail = %q for one that never answers.", Timeout)
	}
	names := b.Tags("names")
	for _, name := range slices.Sorted(maps.Keys(names)) {
		for text := range strings.SplitSeq(names[name], ",") {
			a, err := netip.ParseAddr(strings.TrimSpace(text))
			if err != nil || a.Zone() != "" {
				b.Invalid("names", "%q, for %s, is no address. Write names = { \"www.example\" = \"10.1.1.10, fd10:1:1::10\" }.", text, name)
				continue
			}
			key := strings.ToLower(strings.TrimSuffix(name, "."))
			n.Names[key] = append(n.Names[key], a)
		}
	}
	return n
}
