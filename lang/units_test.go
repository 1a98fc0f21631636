package lang

import (
	"strings"
	"testing"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/netpupper/netp"
)

// TestWrongKindOfUnit: what is proposed has the size that was meant.
func TestWrongKindOfUnit(t *testing.T) {
	for text, want := range map[string]string{
		"1600bit": `"1600B"`, "10kbit": `"10KB"`, "1Mb": `"1MB"`, "2Gbps": `"2GB"`, "1Tbit": `"1GB"`, "10MBit": `"10MB"`, "8kBits/s": `"8KB"`,
	} {
		if _, err := parseSize(text); err == nil || !strings.Contains(err.Error(), "example "+want) {
			t.Errorf("size %s: %v, want %s", text, err, want)
		}
	}
	for text, want := range map[string]string{
		"10B": `"10bps"`, "10KBps": `"10kbps"`, "10MB/s": `"10Mbps"`, "1GiB": `"1Gbps"`, "5octets": "units are", "1Bytes": `"1bps"`,
	} {
		if _, err := parseBitRate(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("rate %s: %v, want %s", text, err, want)
		}
	}
}

// TestDurationsAreWhole: a limit of an agent is not a nanosecond under what a suite asks for.
func TestDurationsAreWhole(t *testing.T) {
	for text, want := range map[string]time.Duration{"1.001s": 1001 * time.Millisecond, "4.35ms": 4350 * time.Microsecond, "0.29s": 290 * time.Millisecond, "1m30s": 90 * time.Second} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", text, got, err, want)
		}
	}
}

// TestNamesOfCodePoints: among them those that a plan shows.
func TestNamesOfCodePoints(t *testing.T) {
	for name, want := range map[string]float64{"voice-admit": 44, "df": 0, "cs7": 56} {
		if got, err := dscpValue(netp.ParamSpec{Name: "dscp"}, cty.StringVal(name)); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", name, got, err, want)
		}
	}
}
