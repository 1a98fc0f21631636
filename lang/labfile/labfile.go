// Package labfile reads the file of a network lab: sites, the carriers that join them, and what is wrong with their lines. It is
// HCL in the syntax of suites, with its units and functions and without references, and strict: all faults are told at once.
//
// It makes no network; package testsuites/lab does. Start with Read.
package labfile

import (
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/lang/diag"
	"github.com/netpupper/netp/testsuites/lab/emulator"
)

// Lab is what a file declares.
type Lab struct {
	// Name distinguishes labs on one host; the file's own name where it gives none.
	Name string
	// IP is the only version of it, 4 or 6, that the lab speaks; 0 is both.
	IP       int
	Carriers []string
	Sites    []Site
}

// Site is a place with a host.
type Site struct {
	Name  string
	NAT   bool
	Lines []Line
	Block []Block
	Names *Names
}

// Line is a site's line to a carrier.
type Line struct {
	Carrier string
	// Address and Address6 of the site there; invalid when the file gives none.
	Address, Address6 netip.Addr
	// Up is from the site to the carrier, Down from the carrier to the site.
	Up, Down emulator.Impair
}

// Block is what a firewall before a site drops.
type Block struct {
	Protocols []int // of IP; 0 is all
	Port      int   // destination; 0 is all
}

// Bounds: an address has one byte for each.
const (
	maxCarriers = 250
	maxSites    = 250
)

func shape() lang.Shape {
	line := lineShape()
	site := lang.Shape{Labels: []string{"name"}, Args: []string{"nat"}, Blocks: map[string]lang.Shape{
		"line":  line,
		"block": {Args: []string{"protocol", "port"}},
		"dns":   dnsShape(),
	}}
	carrier := impairShape()
	carrier.Labels = []string{"name"}
	carrier.Blocks = line.Blocks
	return lang.Shape{Args: []string{"name", "ip"}, Blocks: map[string]lang.Shape{"carrier": carrier, "site": site}}
}

func lineShape() lang.Shape {
	line := impairShape()
	line.Labels, line.Args = []string{"carrier"}, append(line.Args, "address", "address6")
	line.Blocks = map[string]lang.Shape{"up": impairShape(), "down": impairShape(), "burst": burstShape()}
	return line
}

// Labs and sites give namespaces their names, LAB-SITE: a hyphen in the first would make them ambiguous.
var (
	labNames  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_]*$`)
	siteNames = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*$`)
)

// maxName is the longest name of a lab or a site [B].
const maxName = 31

// Read reads a file. When there is an error among the diagnostics the lab must not be used.
func Read(file string, environ func(string) (string, bool)) (Lab, diag.List) {
	d := lang.OpenDocument(file, "a lab's file", shape(), environ)
	l := Lab{Name: d.Text("name")}
	if !d.Has("name") {
		l.Name = strings.TrimSuffix(filepath.Base(file), ".hcl")
	}
	if len(l.Name) > maxName || !labNames.MatchString(l.Name) {
		d.Invalid("name", "%q is no name for a lab: letters, digits and _, at most 31. Write name = \"wan\", say.", l.Name)
	}
	if l.IP = d.Count("ip", 0); d.Has("ip") && l.IP != 4 && l.IP != 6 {
		d.Invalid("ip", "%d is no version of IP. Write 4 or 6, or leave it out for both.", l.IP)
	}
	carriers := map[string]lang.Block{}
	for _, b := range d.Named("carrier") {
		l.Carriers = append(l.Carriers, b.Labels[0])
		carriers[b.Labels[0]] = b
	}
	for _, b := range d.Named("site") {
		l.Sites = append(l.Sites, readSite(b, l.Carriers, carriers))
	}
	check(d, l)
	return l, d.List()
}

// check looks at what no block can know alone.
func check(d *lang.Document, l Lab) {
	if len(l.Carriers) == 0 {
		d.Missing(`A lab needs a carrier that joins its sites: carrier "telco-a" { delay = "10ms" }.`)
	}
	if len(l.Sites) == 0 {
		d.Missing(`A lab needs sites: site "syd" { }.`)
	}
	if len(l.Carriers) > maxCarriers || len(l.Sites) > maxSites {
		d.Invalid("", "A lab has at most %d carriers and %d sites.", maxCarriers, maxSites)
	}
	used := map[netip.Addr]string{}
	for _, s := range l.Sites {
		if s.NAT && l.IP == 6 {
			d.Invalid("ip", "Site %q is behind NAT, and so has IPv4 only.", s.Name)
		}
		for _, line := range s.Lines {
			for _, a := range []netip.Addr{line.Address, line.Address6} {
				if other := used[a]; other != "" && a.IsValid() {
					d.Invalid("", "Sites %q and %q both have the address %s.", other, s.Name, a)
				}
				used[a] = s.Name
			}
		}
	}
}

// readSite reads a site. It has a line to each carrier, or to those for which it has a line block.
func readSite(b lang.Block, order []string, carriers map[string]lang.Block) Site {
	s := Site{Name: b.Labels[0], NAT: b.Flag("nat")}
	if len(s.Name) > maxName || !siteNames.MatchString(s.Name) {
		b.Invalid("", "%q is no name for a site: letters, digits, _ and -, at most 31.", s.Name)
	}
	own := map[string]lang.Block{}
	for _, line := range b.Named("line") {
		name := line.Labels[0]
		if _, ok := carriers[name]; !ok {
			line.Unknown(name, order, "carrier")
			continue
		}
		own[name] = line
	}
	for _, name := range order {
		line, listed := own[name]
		if len(own) > 0 && !listed {
			continue
		}
		s.Lines = append(s.Lines, readLine(name, carriers[name], line, listed))
	}
	for _, block := range b.Blocks("block") {
		s.Block = append(s.Block, readBlock(block))
	}
	if dns, ok := b.One("dns"); ok {
		s.Names = readNames(dns)
	}
	return s
}

// readLine gives a line what its carrier says, then what it says itself, each first for both directions.
func readLine(name string, carrier, own lang.Block, listed bool) Line {
	l := Line{Carrier: name}
	blocks := []lang.Block{carrier}
	if listed {
		blocks = append(blocks, own)
		l.Address, l.Address6 = readAddress(own), readAddress6(own)
	}
	for _, b := range blocks {
		l.Up, l.Down = readImpair(b, l.Up), readImpair(b, l.Down)
		if up, ok := b.One("up"); ok {
			l.Up = readImpair(up, l.Up)
		}
		if down, ok := b.One("down"); ok {
			l.Down = readImpair(down, l.Down)
		}
	}
	return l
}

func readAddress(b lang.Block) netip.Addr {
	if !b.Has("address") {
		return netip.Addr{}
	}
	text := b.Text("address")
	a, err := netip.ParseAddr(text)
	if err != nil || !a.Is4() {
		b.Invalid("address", "%q is not an IPv4 address. Write for example \"10.1.1.10\".", text)
		return netip.Addr{}
	}
	if last := a.As4()[3]; last < 2 || last > 253 {
		b.Invalid("address", "The address must end in a number from 2 to 253: the carrier has the neighbouring one.")
	}
	return a
}

func readAddress6(b lang.Block) netip.Addr {
	if !b.Has("address6") {
		return netip.Addr{}
	}
	text := b.Text("address6")
	a, err := netip.ParseAddr(text)
	if err != nil || !a.Is6() || a.Is4In6() || a.Zone() != "" || a.IsMulticast() || a.IsLinkLocalUnicast() {
		b.Invalid("address6", "%q is not an IPv6 address that a host may have. Write for example \"fd10:1:1::10\".", text)
		return netip.Addr{}
	}
	return a
}

func readBlock(b lang.Block) Block {
	protocols := map[string][]int{"": {0}, "icmp": {1, 58}, "tcp": {6}, "udp": {17}}
	out := Block{Port: b.Count("port", 0)}
	text := b.Text("protocol")
	protocol, ok := protocols[text]
	if !ok {
		b.Invalid("protocol", "%q is no protocol. Write \"udp\", \"tcp\" or \"icmp\", or leave it out to block all.", text)
	}
	if out.Protocols = protocol; out.Port > 65535 {
		b.Invalid("port", "A port is at most 65535.")
	}
	if ok && out.Port != 0 && text != "tcp" && text != "udp" {
		b.Invalid("port", "Only UDP and TCP have ports: write protocol = \"udp\" or \"tcp\" beside it.")
	}
	return out
}
