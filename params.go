package netp

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Params are the parameters of a profile, complete with defaults, as JSON-native
// values in SI base units (see ParamType for the form of each).
type Params map[string]any

// Has reports whether a parameter is set.
func (p Params) Has(name string) bool { return p[name] != nil }

// Number returns a number, 0 when not set.
func (p Params) Number(name string) float64 {
	switch v := p[name].(type) {
	case float64:
		return v
	case int:
		return float64(v)
	}
	return 0
}

// Int returns a whole number, 0 when not set.
func (p Params) Int(name string) int { return int(p.Number(name)) }

// Duration returns a duration, 0 when not set.
func (p Params) Duration(name string) time.Duration {
	return time.Duration(p.Number(name)*1e9 + 0.5)
}

// String returns a string, "" when not set.
func (p Params) String(name string) string {
	s, _ := p[name].(string)
	return s
}

// Bool returns a bool, false when not set.
func (p Params) Bool(name string) bool {
	b, _ := p[name].(bool)
	return b
}

// Direction returns the parameter "direction", Forward when not set.
func (p Params) Direction() Direction {
	if d := p.String("direction"); d != "" {
		return Direction(d)
	}
	return Forward
}

// Rate returns a RateParam, the zero Rate when not set.
func (p Params) Rate(name string) Rate {
	r, err := ParseRate(p.String(name))
	if err != nil {
		return Rate{}
	}
	return r
}

// Mix returns a MixParam, nil when not set.
func (p Params) Mix(name string) []MixPart {
	list, _ := p[name].([]any)
	var parts []MixPart
	for _, item := range list {
		pair, _ := item.([]any)
		if len(pair) != 2 {
			continue
		}
		size, _ := pair[0].(float64)
		weight, _ := pair[1].(float64)
		parts = append(parts, MixPart{Size: int(size), Weight: int(weight)})
	}
	return parts
}

// MixPart is one packet size of a mix with its share: Weight of the sum of all weights.
type MixPart struct{ Size, Weight int }

// Rate is a sending rate in packets or bits per second; the zero Rate means as
// fast as it goes.
type Rate struct {
	PacketsPerSecond float64
	BitsPerSecond    float64
}

// ParseRate reads the canonical form "<n>pps" or "<n>bps"; "" is the zero Rate.
func ParseRate(s string) (Rate, error) {
	if s == "" || s == "0" {
		return Rate{}, nil
	}
	if n, ok := strings.CutSuffix(s, "pps"); ok {
		f, err := strconv.ParseFloat(n, 64)
		return Rate{PacketsPerSecond: f}, err
	}
	if n, ok := strings.CutSuffix(s, "bps"); ok {
		f, err := strconv.ParseFloat(n, 64)
		return Rate{BitsPerSecond: f}, err
	}
	return Rate{}, fmt.Errorf("rate %q has neither the unit pps nor bps", s)
}

// String is the canonical form that ParseRate reads.
func (r Rate) String() string {
	switch {
	case r.PacketsPerSecond > 0:
		return strconv.FormatFloat(r.PacketsPerSecond, 'g', -1, 64) + "pps"
	case r.BitsPerSecond > 0:
		return strconv.FormatFloat(r.BitsPerSecond, 'g', -1, 64) + "bps"
	}
	return "0"
}
