package lang

import "testing"

// TestBareUnits: where the parser stops at a number with a unit behind it, how that is written is told; elsewhere it speaks itself.
func TestBareUnits(t *testing.T) {
	const stays = ""
	for line, want := range map[string]string{
		"a = 60s":                    "60 * s",
		"a = 60 s # a minute":        "60 * s",
		"a = 5m":                     `"5m"`,
		"a = 1m30s":                  `"1m30s"`,
		"a = 50 pps":                 `"50pps"`,
		"a = 1.5KB":                  "1.5 * KB",
		"a = 10mbps":                 "10 * Mbps",
		"a = 0.5%":                   "0.5 * percent",
		"a { b = x <= 1% }":          "1 * percent",
		"a { b = x <= 60 ms && y }":  "60 * ms",
		"a { b = x <= 60ms }":        "60 * ms",
		"ä { b = \"ö\" == 60µs }":    `"60µs"`,
		"a = 10Mb":                   stays, // bits, or bytes
		"a = 5 sec":                  stays,
		"a { b = x <= 1 and y < 1 }": stays,
		"a = \"took 5 ms":            stays,
		"a = x5 s":                   stays,
	} {
		_, faults := Format([]byte("b = 1\n"+line+"\n"), "s.hcl")
		if len(faults) != 1 || faults[0].Range == nil || faults[0].Range.Start.Line != 2 {
			t.Errorf("%s: %+v; want one fault, of this line", line, faults)
			continue
		}
		f := faults[0]
		if want == stays {
			if f.Summary == sumInvalidUnit {
				t.Errorf("%s: %s", line, f.Detail)
			}
			continue
		}
		text := ("b = 1\n" + line)[f.Range.Start.Byte:f.Range.End.Byte]
		if f.Detail != "A unit does not stand behind a number by itself. Write "+want+"." || text[0] < '0' || text[0] > '9' {
			t.Errorf("%s: at %q: %s; want %s", line, text, f.Detail, want)
		}
	}
}
