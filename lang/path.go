package lang

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/netpupper/netp"
)

// pathFacts is what tests must know of a path.
type pathFacts struct {
	*Path
	key string // each.key
	// sources and dests are the names of the declared ends, sorted; open says that
	// agent sets add others that are not known yet.
	sources, dests         []string
	openSources, openDests bool
	endpoints              []string
	// agents is true when a destination is an agent.
	agents bool
}

// decodePaths decodes a path block. Most references to paths ask for their addresses only, so that the value comes later.
func (it *item) decodePaths() cty.Value {
	paths, many, ok := decodeEach(it, (*instance).path)
	if !ok {
		return cty.DynamicVal
	}
	l := it.scope.loader
	l.suite.Paths = slices.Grow(l.suite.Paths, len(paths))
	for _, p := range paths {
		l.suite.Paths = append(l.suite.Paths, *p.Path)
		l.paths[p.Addr] = p
	}
	slices.SortFunc(paths, func(a, b *pathFacts) int { return strings.Compare(a.key, b.key) })
	it.paths = paths
	it.later = func() cty.Value {
		if !many {
			return paths[0].value(it.name)
		}
		all := make(map[string]cty.Value, len(paths))
		for _, p := range paths {
			all[p.key] = p.value(it.name)
		}
		return mapOf(all)
	}
	return cty.NilVal
}

// value is what a reference to the path stands for.
func (f *pathFacts) value(name string) cty.Value {
	return cty.ObjectVal(map[string]cty.Value{"addr": cty.StringVal(f.Addr), "name": cty.StringVal(name),
		"via": cty.StringVal(f.Via), "tags": tagsValue(f.Tags)})
}

// path decodes one instance of a path block.
func (in *instance) path() *pathFacts {
	l, a := in.scope.loader, in.arguments()
	p := Path{Addr: in.addr, BothDirections: a.flag("both_directions"), Tags: a.tags("tags"), Range: addressOf(in.rng)}
	sound := true
	p.Mesh = in.ends(a, "mesh", false, &sound)
	p.From = in.ends(a, "from", false, &sound)
	p.To = in.ends(a, "to", true, &sound)
	p.Via, _ = a.text("via")
	p.Links = in.links(a)
	facts := l.factsOf(&p)
	facts.key = in.key
	if in.checkShape(a, &p) && sound {
		in.checkVia(a, &p)
		in.checkEmpty(a, facts)
		in.except(a, facts)
	}
	return facts
}

// checkShape finds arguments that exclude each other.
func (in *instance) checkShape(a *arguments, p *Path) bool {
	switch {
	case a.has("mesh") && (a.has("from") || a.has("to")):
		a.fail("mesh", sumConflict, "A path is either a mesh or goes from and to. Remove one of them.")
	case a.has("mesh") && p.BothDirections:
		a.fail("both_directions", sumConflict, "A mesh holds every ordered pair already. Remove both_directions.")
	case a.has("mesh"):
		return true
	case !a.has("from") && !a.has("to"):
		in.scope.loader.failAt(in.addr, in.rng, sumMissingArgument, "A path needs the argument %q, or both %q and %q.", "mesh", "from", "to")
	case !a.has("from"):
		in.scope.loader.failAt(in.addr, in.rng, sumMissingArgument, "A path block with %q needs the argument %q.", "to", "from")
	case !a.has("to"):
		in.scope.loader.failAt(in.addr, in.rng, sumMissingArgument, "A path block with %q needs the argument %q.", "from", "to")
	default:
		return true
	}
	return false
}

// ends reads one side of a path: agents, sets of them, lists and maps of both,
// and, at the far side, endpoints as strings. It clears sound after a fault.
func (in *instance) ends(a *arguments, name string, endpoints bool, sound *bool) []End {
	attr := a.body.Attributes[name]
	if attr == nil {
		return nil
	}
	if known, ok := in.env.ends[attr.Expr]; ok {
		return known
	}
	c := &endCollector{in: in, name: name, endpoints: endpoints}
	same := in.many
	for _, x := range listItems(attr.Expr) {
		c.rng = x.Range()
		c.collect(in.env.eval(x))
		same = same && in.env.same(x)
	}
	*sound = *sound && !c.faulty
	if same && !c.faulty {
		in.env.ends[attr.Expr] = slices.Clip(c.ends)
	}
	return c.ends
}

// listItems are the elements of a list as written, so that a fault points at the
// element; anything else is its own only item.
func listItems(x hclsyntax.Expression) []hclsyntax.Expression {
	switch t := x.(type) {
	case *hclsyntax.TupleConsExpr:
		return t.Exprs
	case *hclsyntax.ParenthesesExpr:
		return listItems(t.Expression)
	}
	return []hclsyntax.Expression{x}
}

type endCollector struct {
	in        *instance
	name      string
	endpoints bool
	rng       hcl.Range
	ends      []End
	seen      map[End]bool // when there are many
	faulty    bool
}

func (c *endCollector) fail(summary, format string, args ...any) {
	c.faulty = true
	c.in.scope.loader.failAt(c.in.addr, c.rng, summary, format, args...)
}

// fewEnds are looked through faster than looked up.
const fewEnds = 16

func (c *endCollector) add(e End) {
	if len(c.ends) < fewEnds {
		if !slices.Contains(c.ends, e) {
			c.ends = append(c.ends, e)
		}
		return
	}
	if c.seen == nil {
		c.seen = map[End]bool{}
		for _, end := range c.ends {
			c.seen[end] = true
		}
	}
	if !c.seen[e] {
		c.seen[e] = true
		c.ends = append(c.ends, e)
	}
}

// collect flattens a value into ends.
func (c *endCollector) collect(v cty.Value) {
	switch {
	case v.IsMarked():
		c.fail(sumSensitive, "The ends of a path are shown in plans, and this value is sensitive.")
		return
	case !v.IsKnown():
		c.faulty = true // reported where it went wrong
		return
	case v.IsNull():
		c.fail(sumInvalidValue, "An end of a path must not be null.")
		return
	}
	ty := v.Type()
	switch {
	case ty == cty.String:
		c.text(v.AsString())
	case ty.IsObjectType() && ty.HasAttribute("addr"):
		c.reference(v)
	case ty.IsListType(), ty.IsTupleType(), ty.IsSetType(), ty.IsMapType(), ty.IsObjectType():
		for it := v.ElementIterator(); it.Next(); {
			_, e := it.Element()
			c.collect(e)
		}
	default:
		c.fail(sumInvalidType, "An end of a path is an agent, an agents set or an endpoint; this is %s.", article(typeWord(ty)))
	}
}

func (c *endCollector) reference(v cty.Value) {
	addr, ok := toText(v.GetAttr("addr"))
	if !ok {
		return
	}
	switch kindOfAddress(addr) {
	case "agent":
		c.add(End{Agent: addr})
	case "agents":
		c.add(End{AgentSet: addr})
	default:
		c.fail(sumInvalidReference, "%s is not an end of a path. Write an agent, an agents set, or an endpoint in quotes.", addr)
	}
}

// kindOfAddress is the first word of an address after its modules:
// module.branch["a"].agent.x gives agent.
func kindOfAddress(addr string) string {
	for strings.HasPrefix(addr, "module.") {
		rest := addr[len("module."):]
		i := strings.IndexAny(rest, ".[")
		if i < 0 {
			return "module"
		}
		if rest[i] == '[' {
			key, err := strconv.QuotedPrefix(rest[i+1:])
			if err != nil {
				return ""
			}
			i += 1 + len(key) + 1
		}
		if i+1 > len(rest) {
			return "module"
		}
		addr = rest[i+1:]
	}
	kind, _, _ := strings.Cut(addr, ".")
	return kind
}

func (c *endCollector) text(s string) {
	l := c.in.scope.loader
	if !c.endpoints {
		hint := ""
		if it := c.in.scope.items["agent."+s]; it != nil {
			hint = fmt.Sprintf(" Did you mean agent.%s, without quotes?", s)
		}
		c.fail(sumInvalidType, "%s takes agents, and %q is a text. An endpoint can only be a destination, in to.%s", c.name, s, hint)
		return
	}
	if _, err := endpointForm(s); err != nil {
		c.fail(sumInvalidEndpoint, "%s.", capital(err.Error()))
		return
	}
	if c.in.scope.items["agent."+s] != nil {
		l.warn(c.rng, sumSuspicious, "%q in quotes is the host of that name, and an agent is declared as agent.%s. Did you mean agent.%s, without quotes?", s, s, s)
	}
	c.add(End{Endpoint: s})
}

var hostLabel = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?$`)

// endpointForm tells how an endpoint is written.
func endpointForm(s string) (netp.EndpointForm, error) {
	if strings.Contains(s, "://") {
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || u.Hostname() == "" {
			return "", fmt.Errorf("%q is not a URL: it needs a scheme and a host, as in https://portal.example/health", s)
		}
		if u.User != nil {
			return "", fmt.Errorf("the URL %q holds a user or password, and endpoints are shown in plans; leave it out", u.Redacted())
		}
		return netp.EndpointURL, nil
	}
	if isHost(s) {
		return netp.EndpointHost, nil
	}
	if i := strings.LastIndexByte(s, ':'); i > 0 {
		host := strings.TrimSuffix(strings.TrimPrefix(s[:i], "["), "]")
		port, err := strconv.ParseUint(s[i+1:], 10, 16)
		if err == nil && port > 0 && isHost(host) && (!strings.Contains(host, ":") || s[0] == '[') {
			return netp.EndpointHostPort, nil
		}
	}
	return "", fmt.Errorf("%q is no endpoint. Write a host name or IP address, host:port, [IPv6]:port or a URL", s)
}

func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if len(label) > maxName || !hostLabel.MatchString(label) {
			return false
		}
	}
	return true
}

// links reads the links a path crosses.
func (in *instance) links(a *arguments) []string {
	attr := a.body.Attributes["links"]
	if attr == nil {
		return nil
	}
	var out []string
	for _, x := range listItems(attr.Expr) {
		found, _ := in.addresses(in.env.eval(x), x.Range(), "link")
		for _, addr := range found {
			if !slices.Contains(out, addr) {
				out = append(out, addr)
			}
		}
	}
	return out
}

// addresses reads references to blocks of one kind out of a value; false after a
// fault.
func (in *instance) addresses(v cty.Value, rng hcl.Range, kind string) ([]string, bool) {
	l := in.scope.loader
	v, _ = v.Unmark()
	if !v.IsKnown() {
		return nil, false
	}
	ty := v.Type()
	switch {
	case v.IsNull():
	case ty.IsObjectType() && ty.HasAttribute("addr"):
		if addr, ok := toText(v.GetAttr("addr")); ok && kindOfAddress(addr) == kind {
			return []string{addr}, true
		}
	case v.CanIterateElements():
		var out []string
		sound := true
		for it := v.ElementIterator(); it.Next(); {
			_, e := it.Element()
			more, ok := in.addresses(e, rng, kind)
			out, sound = append(out, more...), sound && ok
		}
		return out, sound
	}
	l.failAt(in.addr, rng, sumInvalidReference, "A reference to %s is expected here, as in %s.%s.", article(kind), kind, pattern(kind))
	return nil, false
}
