package assert

import "github.com/zclconf/go-cty/cty"

// Units are the unit constants of the language: numbers in SI base units (seconds,
// bits per second, bytes, shares). The caller owns the map.
func Units() map[string]cty.Value {
	units := map[string]cty.Value{}
	for name, value := range map[string]string{
		"ns": "0.000000001", "us": "0.000001", "ms": "0.001", "s": "1", "min": "60", "h": "3600",
		"bps": "1", "kbps": "1000", "Mbps": "1000000", "Gbps": "1000000000",
		"B": "1", "KB": "1000", "MB": "1000000", "GB": "1000000000",
		"KiB": "1024", "MiB": "1048576",
		"percent": "0.01", "ppm": "0.000001",
	} {
		units[name] = cty.MustParseNumberVal(value)
	}
	return units
}
