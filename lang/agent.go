package lang

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/netpupper/netp"
)

// maxName is the longest name of an agent, an interface or a label of a host's name [B]. The forms leave it out: a regular expression
// is as large as what it counts to.
const maxName = 63

// agentName is what agents may be called: the name becomes part of addresses,
// file names and subjects of the bus.
var agentName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$`)

// interfaceName is what interfaces may be called.
var interfaceName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.:@-]*$`)

func isAgentName(s string) bool { return len(s) <= maxName && agentName.MatchString(s) }

func isInterfaceName(s string) bool { return len(s) <= maxName && interfaceName.MatchString(s) }

// agent decodes an agent block.
func (in *instance) agent() cty.Value {
	l, a := in.scope.loader, in.arguments()
	name := in.name
	if in.many {
		name += "-" + in.key
	}
	given, ok := a.text("name")
	if ok {
		name = given
	}
	if !isAgentName(name) {
		a.fail("name", sumInvalidName, "An agent cannot register as %q: a name has letters, digits, _, - and ., at most 63, and neither begins nor ends with a dot or hyphen. Set name = … to another one.", name)
	}
	if attr := a.body.Attributes["name"]; ok || attr == nil || a.isNull(attr) { // else the name is at fault, and nobody's
		l.claimName(name, a.rng("name"), in.addr)
	}
	out := Agent{Addr: in.addr, Range: addressOf(in.rng)}
	out.Agent = netp.Agent{Name: netp.AgentID(name), Tags: a.tags("tags")}
	out.Netns, out.NAT = a.netns(), a.flag("nat")
	out.Interfaces = in.interfaces(a)
	l.suite.Agents = append(l.suite.Agents, out)
	l.agentItems[out.Addr] = in.item
	l.agentNames[out.Addr] = out.Name
	l.interfaces[out.Addr] = out.Interfaces
	return agentValue(out)
}

// claimName makes agent names unique in the suite, its modules included.
func (l *loader) claimName(name string, rng hcl.Range, addr string) {
	if old, ok := l.declared[name]; ok {
		l.failAt(addr, rng, sumDuplicateAgent, "Two agents would register as %q; the other is in %s, line %d. Set name = … in one of them.", name, old.Filename, old.Start.Line)
		return
	}
	l.declared[name] = rng
}

// netns reads the name of a network namespace.
func (a *arguments) netns() string {
	s, ok := a.text("netns")
	if ok && (s == "" || len(s) > 255 || strings.ContainsAny(s, "/\x00") || s == "." || s == "..") {
		a.fail("netns", sumInvalidName, "%q is not the name of a network namespace: those are names of files below /run/netns.", s)
	}
	return s
}

// interfaces decodes the interface blocks of an agent, sorted by name.
func (in *instance) interfaces(a *arguments) []netp.Interface {
	l := in.scope.loader
	var out []netp.Interface
	for _, b := range l.blocks(in.env, a.body, "interface") {
		if len(b.labels) != 1 {
			continue
		}
		name := b.labels[0]
		if !isInterfaceName(name) {
			l.failAt(in.addr, b.rng, sumInvalidName, "%q is not the name of an interface: letters, digits and _ . : @ -, at most 63.", name)
		}
		if slices.ContainsFunc(out, func(i netp.Interface) bool { return i.Name == name }) {
			l.failAt(in.addr, b.rng, sumDuplicate, "The agent already has an interface %q.", name)
			continue
		}
		out = append(out, (&arguments{b.env, b.body, b.rng}).networkInterface(name))
	}
	slices.SortFunc(out, func(a, b netp.Interface) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// networkInterface decodes the arguments of an interface block.
func (a *arguments) networkInterface(name string) netp.Interface {
	i := netp.Interface{Name: name, Netns: a.netns()}
	i.Address, _ = a.text("address")
	if _, err := netip.ParseAddr(i.Address); err != nil && i.Address != "" {
		a.fail("address", sumInvalidValue, "%q is not an IP address. Write the address to send from, without a prefix length.", i.Address)
	}
	i.Device, _ = a.text("device")
	i.Capacity, _ = a.quantity("capacity", parseBitRate)
	return i
}

var interfaceType = cty.Object(map[string]cty.Type{
	"address": cty.String, "device": cty.String, "netns": cty.String, "capacity": cty.Number})

// agentValue is what a reference to an agent stands for.
func agentValue(a Agent) cty.Value {
	interfaces := map[string]cty.Value{}
	for _, i := range a.Interfaces {
		interfaces[i.Name] = cty.ObjectVal(map[string]cty.Value{
			"address": cty.StringVal(i.Address), "device": cty.StringVal(i.Device),
			"netns": cty.StringVal(i.Netns), "capacity": cty.NumberFloatVal(i.Capacity)})
	}
	all := cty.MapValEmpty(interfaceType)
	if len(interfaces) > 0 {
		all = cty.MapVal(interfaces)
	}
	return cty.ObjectVal(map[string]cty.Value{
		"addr": cty.StringVal(a.Addr), "name": cty.StringVal(string(a.Name)), "netns": cty.StringVal(a.Netns),
		"tags": tagsValue(a.Tags), "interfaces": all})
}

func tagsValue(tags map[string]string) cty.Value {
	if len(tags) == 0 {
		return cty.MapValEmpty(cty.String)
	}
	out := make(map[string]cty.Value, len(tags))
	for k, v := range tags {
		out[k] = cty.StringVal(v)
	}
	return cty.MapVal(out)
}

// link decodes a link block.
func (in *instance) link() cty.Value {
	a := in.arguments()
	link := netp.Link{Addr: in.addr, Tags: a.tags("tags")}
	link.Capacity, _ = a.quantity("capacity", parseBitRate)
	in.scope.loader.suite.Links = append(in.scope.loader.suite.Links, link)
	return cty.ObjectVal(map[string]cty.Value{"addr": cty.StringVal(in.addr), "name": cty.StringVal(in.name),
		"tags": tagsValue(link.Tags), "capacity": cty.NumberFloatVal(link.Capacity)})
}
