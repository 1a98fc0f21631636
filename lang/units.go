package lang

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sosodev/duration"
	"github.com/zclconf/go-cty/cty"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/suggest"
)

// unit is a unit constant: a number in SI base units, written as text so that it
// is exact.
type unit struct{ name, value string }

// The units by dimension. Rates are decimal (RFC 9097 §5.6); only the units with
// an i are powers of 1024.
var (
	timeUnits = []unit{{"ns", "1e-9"}, {"us", "1e-6"}, {"ms", "1e-3"}, {"s", "1"}, {"min", "60"}, {"h", "3600"}}
	rateUnits = []unit{{"bps", "1"}, {"kbps", "1e3"}, {"Mbps", "1e6"}, {"Gbps", "1e9"}}
	sizeUnits = []unit{{"B", "1"}, {"KB", "1e3"}, {"MB", "1e6"}, {"GB", "1e9"}, {"KiB", "1024"}, {"MiB", "1048576"}}
	// packetUnits are no constants: a rate in packets is written as a text only.
	packetUnits = []unit{{"pps", "1"}, {"kpps", "1e3"}, {"Mpps", "1e6"}}
	bareUnits   = []unit{{"percent", "1e-2"}, {"ppm", "1e-6"}}
)

// unitConstants are the units as variables.
func unitConstants() map[string]cty.Value {
	vars := map[string]cty.Value{}
	for _, u := range slices.Concat(timeUnits, rateUnits, sizeUnits, bareUnits) {
		vars[u.name] = cty.MustParseNumberVal(u.value)
	}
	return vars
}

// figure is a number with an optional unit: "1.5 GB".
var figure = regexp.MustCompile(`^\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?)\s*([^\s0-9][^\s]*)?\s*$`)

// split takes a text apart into number and unit.
func split(s string) (number, unitName string, ok bool) {
	if len(s) > 100 {
		return "", "", false
	}
	m := figure.FindStringSubmatch(s)
	if m == nil {
		return "", "", false
	}
	return m[1], m[2], true
}

// scale multiplies a number by a unit, rounding once where the unit is a power of ten.
func scale(number, value string) (float64, error) {
	if exp, ok := strings.CutPrefix(value, "1e"); ok && !strings.ContainsAny(number, "eE") {
		return strconv.ParseFloat(number+"e"+exp, 64)
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, err
	}
	factor, err := strconv.ParseFloat(value, 64)
	return f * factor, err
}

func find(units []unit, name string) (unit, bool) {
	for _, u := range units {
		if u.name == name {
			return u, true
		}
	}
	return unit{}, false
}

func names(units []unit) []string {
	var out []string
	for _, u := range units {
		out = append(out, u.name)
	}
	return out
}

// unitError says what is wrong with the unit of a text.
type unitError struct{ detail string }

func (e unitError) Error() string { return e.detail }

func wrongUnit(format string, args ...any) error { return unitError{fmt.Sprintf(format, args...)} }

// parseDuration reads "60s", "1m30s", "5min" or ISO 8601 "PT1M", as seconds.
func parseDuration(s string) (float64, error) {
	number, name, ok := split(s)
	if ok {
		switch name {
		case "":
			return 0, wrongUnit("%q has no unit of time. Write for example %q.", s, number+"s")
		case "m":
			name = "min"
		case "µs", "μs":
			name = "us"
		case "d":
			return scale(number, "86400")
		}
		if u, ok := find(timeUnits, name); ok {
			return scale(number, u.value)
		}
	}
	if d, err := time.ParseDuration(strings.TrimSpace(s)); err == nil {
		return d.Seconds(), nil
	}
	if strings.HasPrefix(s, "P") && len(s) < 100 {
		return parseISO(s)
	}
	if ok {
		units := append(names(timeUnits), "d")
		return 0, wrongUnit("%q is not a unit of time.%s The units are %s.", name, suggest.Sentence(name, units), strings.Join(units, ", "))
	}
	return 0, wrongUnit(`%q is not a duration. Write for example "60s", "5min", "1h30m" or "PT1M".`, s)
}

// parseISO reads an ISO 8601 duration without years and months, which have no
// fixed length.
func parseISO(s string) (float64, error) {
	d, err := duration.Parse(s)
	if err != nil {
		return 0, wrongUnit(`%q is not an ISO 8601 duration. Write for example "PT1M" or "P1DT12H".`, s)
	}
	if d.Years != 0 || d.Months != 0 {
		return 0, wrongUnit("%q counts years or months, which have no fixed length. Write days or hours.", s)
	}
	return d.Weeks*7*86400 + d.Days*86400 + d.Hours*3600 + d.Minutes*60 + d.Seconds, nil
}

// parseBitRate reads "10Mbps", as bit/s.
func parseBitRate(s string) (float64, error) { return parseRateIn(s, rateUnits) }

// parseRateIn is parseBitRate where more units are allowed: the error names them.
func parseRateIn(s string, allowed []unit) (float64, error) {
	number, name, ok := split(s)
	if !ok {
		return 0, wrongUnit(`%q is not a rate. Write for example "10Mbps".`, s)
	}
	if u, ok := find(rateUnits, name); ok {
		return scale(number, u.value)
	}
	switch {
	case name == "":
		return 0, wrongUnit("%q has no unit of rate. Write for example %q; a number without quotes counts bit/s.", s, number+"Mbps")
	case isBytes(name):
		return 0, wrongUnit("%q counts bytes, and a rate counts bits per second: one byte is eight bits, and netp does not guess. Write for example %q.", s, number+alike(name, rateUnits))
	}
	units := names(allowed)
	return 0, wrongUnit("%q is not a unit of rate.%s The units are %s.", name, suggest.Sentence(name, units), strings.Join(units, ", "))
}

var byteUnit = regexp.MustCompile(`^[kKMGT]?i?(B|Byte|Bytes|byte|bytes|o)(ps|/s)?$`)
var bitUnit = regexp.MustCompile(`^[kKMGT]?i?(b|[bB]its?)(ps|/s)?$`)

// alike is the unit with the prefix that another name has: "KB" for "kbit".
func alike(name string, units []unit) string {
	prefix := func(name string) string {
		return strings.Trim(strings.ReplaceAll(strings.ToLower(name[:1]), "t", "g"), "bo") // no unit is larger than G
	}
	for _, u := range units {
		if prefix(u.name) == prefix(name) {
			return u.name
		}
	}
	return units[0].name
}

func isBytes(name string) bool { return byteUnit.MatchString(name) }

// parseRate reads a rate in bits or packets per second.
func parseRate(s string) (netp.Rate, error) {
	number, name, ok := split(s)
	if u, packets := find(packetUnits, name); ok && packets {
		f, err := scale(number, u.value)
		return netp.Rate{PacketsPerSecond: f}, err
	}
	if ok && name == "" {
		if f, err := strconv.ParseFloat(number, 64); err == nil && f == 0 {
			return netp.Rate{}, nil
		}
		return netp.Rate{}, wrongUnit("%q has no unit of rate. Write for example %q or %q.", s, number+"pps", number+"Mbps")
	}
	f, err := parseRateIn(s, slices.Concat(packetUnits, rateUnits))
	return netp.Rate{BitsPerSecond: f}, err
}

// parseSize reads "1500B" or "1.5GB", as bytes.
func parseSize(s string) (float64, error) {
	number, name, ok := split(s)
	if !ok {
		return 0, wrongUnit(`%q is not a size. Write for example 200 or "1.5GB".`, s)
	}
	u, ok := find(sizeUnits, name)
	switch {
	case ok:
	case name == "":
		return 0, wrongUnit("%q has no unit of size. Write %s without quotes for bytes, or for example %q.", s, number, number+"KB")
	case bitUnit.MatchString(name):
		return 0, wrongUnit("%q counts bits, and a size counts bytes: one byte is eight bits, and netp does not guess. Write for example %q.", s, number+alike(name, sizeUnits))
	default:
		return 0, wrongUnit("%q is not a unit of size.%s The units are %s.", name, suggest.Sentence(name, names(sizeUnits)), strings.Join(names(sizeUnits), ", "))
	}
	f, err := scale(number, u.value)
	if err == nil && f != math.Trunc(f) {
		return 0, wrongUnit("%q is not a whole number of bytes.", s)
	}
	return f, err
}

// dscpNames are the code points with names (RFC 2474, 2597, 3246, 5865, 8622).
var dscpNames = map[string]float64{
	"default": 0, "be": 0, "df": 0, "le": 1, "ef": 46, "va": 44, "voice-admit": 44,
	"cs0": 0, "cs1": 8, "cs2": 16, "cs3": 24, "cs4": 32, "cs5": 40, "cs6": 48, "cs7": 56,
	"af11": 10, "af12": 12, "af13": 14, "af21": 18, "af22": 20, "af23": 22,
	"af31": 26, "af32": 28, "af33": 30, "af41": 34, "af42": 36, "af43": 38,
}
