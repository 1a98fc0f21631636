package suggest

import (
	"slices"
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	for _, c := range []struct {
		name, want string
		names      []string
	}{
		{name: "carier", names: []string{"site", "carrier"}, want: "carrier"},
		{name: "Carrier", names: []string{"carrier"}, want: "carrier"},
		{name: "los", names: []string{"rate", "loss"}, want: "loss"},
		{name: "rtt", names: []string{"loss", "rate"}},
		{name: "siet", names: []string{"side", "site"}, want: "site"}, // letters that changed places are nearer than two wrong ones
		{name: "pathx", names: []string{"pathc", "pathb"}, want: "pathb"},
		{name: "a", names: []string{"b"}, want: "b"},
		{name: "duration", names: []string{"dur"}},
		{name: "loss", names: nil},
		{name: strings.Repeat("x", longest+1), names: []string{strings.Repeat("x", longest)}},
		{name: "path", names: slices.Repeat([]string{"paths"}, most+1)},
	} {
		if got := Nearest(c.name, c.names); got != c.want {
			t.Errorf("nearest to %.20q: %q; want %q", c.name, got, c.want)
		}
	}
	if got := Sentence("carier", []string{"carrier"}); got != ` Did you mean "carrier"?` {
		t.Errorf("got %q", got)
	}
	if got := Sentence("rtt", []string{"rate"}); got != "" {
		t.Errorf("got %q", got)
	}
}
