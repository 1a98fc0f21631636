package view

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plan"
)

// names tell the sessions of a test apart that its paths do not: the keys of their addresses, by address.
type names map[string]string

// namesOf gives names to sessions that would read alike.
func namesOf(records []netp.Record) names {
	type reading struct{ test, path string }
	first, out := map[reading]string{}, names{}
	for _, r := range records {
		at, addr := reading{r.Test, arrow(r.Session.Path)}, r.Session.Addr
		other, taken := first[at]
		switch {
		case !taken:
			first[at] = addr
		case other != addr:
			out[other], out[addr] = key(r.Test, other), key(r.Test, addr)
		}
	}
	return out
}

// namesOfPlan is namesOf for sessions that have no records yet.
func namesOfPlan(sessions []plan.Session) names {
	records := make([]netp.Record, len(sessions))
	for i, s := range sessions {
		records[i] = netp.Record{Test: s.Test, Session: netp.Session{Addr: s.Addr, Path: s.Path}}
	}
	return namesOf(records)
}

func (n names) of(s netp.Session) string { return cmp.Or(n[s.Addr], arrow(s.Path)) }

// key is what an address has in brackets behind its test: n[gold]:a->b of test.voice["n[gold]:a->b"].
func key(test, addr string) string {
	text := strings.TrimSuffix(strings.TrimPrefix(addr, test+"["), "]")
	if plain, err := strconv.Unquote(text); err == nil {
		return plain
	}
	return text
}

// Calls reports whether tables call the path of an address by the name, carrier[gold]:a->b, where a test has it from several blocks.
func Calls(addr, name string) bool {
	at := strings.LastIndex(addr, `["`) // within a key quotes have a backslash before them
	if at < 0 {
		return false
	}
	pair, err := strconv.Unquote(strings.TrimSuffix(addr[at+1:], "]"))
	return err == nil && plan.BlockName(addr[:at])+":"+pair == name
}

// arrow names a path: its ends and, where it asks for one, the interface, which is the carrier.
func arrow(p netp.Path) string {
	text := string(p.Source) + " → " + p.Dest
	if p.Via != "" {
		text += " via " + p.Via
	}
	return text
}
