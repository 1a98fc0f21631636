package plan

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/quantity"
)

// summary says what a profile sends: "udp 50 pps × 200 B, dscp ef, 60 s". Rate,
// size and streams come first; of the rest only what differs from the default.
func summary(spec netp.KindSpec, p netp.Params) string {
	var lead, rest []string
	length := ""
	for _, s := range spec.Params {
		if !p.Has(s.Name) {
			continue
		}
		text := Parameter(s, p)
		switch {
		case s.Name == "duration" || s.Name == "bytes":
			length = text
		case s.Name == "count":
			length = quantity.Count(uint64(max(0, p.Number(s.Name)))) + " packets"
		case s.Name == "rate":
			if text != "0" {
				lead = slices.Insert(lead, 0, text)
			}
		case s.Name == "size":
			lead = append(lead, text)
		case s.Name == "streams":
			if p.Number(s.Name) > 1 {
				rest = append(rest, text+" streams")
			}
		case s.Default == nil || fmt.Sprint(p[s.Name]) != fmt.Sprint(s.Default):
			rest = append(rest, s.Name+" "+text)
		}
	}
	head := string(spec.Kind)
	if len(lead) > 0 {
		head += " " + strings.Join(lead, " × ")
	}
	if length == "" {
		if d := spec.Demand(p).Duration; d > 0 {
			length = quantity.Duration(d)
		}
	}
	if len(lead) == 0 && len(rest) > 0 {
		head += " " + rest[0]
		rest = rest[1:]
	}
	parts := append([]string{head}, rest...)
	if length != "" {
		parts = append(parts, length)
	}
	return strings.Join(parts, ", ")
}

// Parameter writes a parameter for people, exactly: "60 s", "50 pps", "ef".
func Parameter(s netp.ParamSpec, p netp.Params) string {
	v := p.Number(s.Name)
	switch s.Type {
	case netp.DurationParam:
		return quantity.Exact(v, "s")
	case netp.BitRateParam:
		if v == 0 {
			return "0"
		}
		return quantity.Exact(v, "bit/s")
	case netp.RateParam:
		switch r := p.Rate(s.Name); {
		case r.PacketsPerSecond > 0:
			return number(r.PacketsPerSecond) + " pps"
		case r.BitsPerSecond > 0:
			return quantity.Exact(r.BitsPerSecond, "bit/s")
		}
		return "0"
	case netp.SizeParam:
		if v < 1e5 { // packets and blocks are known by their bytes
			return number(v) + " B"
		}
		return quantity.Exact(v, "B")
	case netp.DSCPParam:
		return dscp(int(v))
	case netp.MixParam:
		var parts []string
		for _, m := range p.Mix(s.Name) {
			parts = append(parts, fmt.Sprintf("%d × %d B", m.Weight, m.Size))
		}
		return strings.Join(parts, " + ")
	case netp.IntegerParam, netp.NumberParam:
		return number(v)
	}
	return fmt.Sprint(p[s.Name])
}

// dscp names a code point (RFC 2474, 2597, 3246, 5865, 8622).
func dscp(v int) string {
	switch {
	case v == 46:
		return "ef"
	case v == 44:
		return "voice-admit"
	case v == 1:
		return "le"
	case v%8 == 0 && v < 64:
		return fmt.Sprintf("cs%d", v/8)
	case v%2 == 0 && v >= 10 && v <= 38 && v%8 != 0:
		return fmt.Sprintf("af%d%d", v/8, v%8/2)
	}
	return strconv.Itoa(v)
}

// repetition says when a test runs: "every 5m", "once, exclusive".
func (t *draft) repetition() string {
	text := "once"
	if t.standing() {
		text = t.schedule().String()
	}
	if t.demand.Forward.Exclusive || t.demand.Reverse.Exclusive {
		text += ", exclusive"
	}
	return text
}

// compact writes a period as in a suite: "5m", "1h30m", "500ms".
func compact(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func number(v float64) string {
	if v == math.Trunc(v) && v >= 0 && v < 1e15 {
		return quantity.Count(uint64(v))
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// count writes a number of things that may be too many for an integer.
func count(v float64) string {
	if v < 1e15 {
		return quantity.Count(uint64(v))
	}
	return fmt.Sprintf("%.2g", v)
}

// maxListed is how many names a sentence lists.
const maxListed = 8

// list writes names for a sentence: "a, b and 3 more".
func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	if rest := len(names) - maxListed; rest > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxListed], ", "), rest)
	}
	return strings.Join(names, ", ")
}

func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
