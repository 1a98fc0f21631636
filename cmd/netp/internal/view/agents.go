package view

import (
	"slices"
	"strings"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/runner/enrol"
)

// Agents prints one line per agent of a controller.
func (t Terminal) Agents(agents []enrol.Listed, now time.Time) error {
	rows := &table{header: []string{"agent", "state", "seen", "sessions", "clock", "health", "kinds", "tags", "data port", "version"}, spare: []int{9, 8, 6, 7}}
	for _, a := range agents {
		var kinds []string
		for _, k := range a.Kinds {
			kinds = append(kinds, string(k))
		}
		rows.add(string(a.Name), t.state(a.State), ago(a.LastSeen, now), itoa(a.Running), clockWord(a.Clock), healthWord(a.Health),
			dash(strings.Join(kinds, " ")), dash(tagWords(a.Tags)), dash(a.Address), dash(a.Version))
	}
	if len(rows.rows) == 0 {
		t.Printf("No agents. Make a join token with: netp agents token\n")
		return nil
	}
	return rows.plain(t)
}

func (t Terminal) state(s string) string {
	switch s {
	case "ready":
		return t.paint(green, s)
	case "away":
		return t.paint(red, s)
	}
	return t.paint(yellow, s)
}

func ago(seen, now time.Time) string {
	if seen.IsZero() {
		return "-"
	}
	return Duration(max(0, now.Sub(seen)).Round(100*time.Millisecond)) + " ago"
}

func clockWord(c netp.ClockState) string {
	switch {
	case !c.Known:
		return "-"
	case !c.Synchronised:
		return "not synchronised"
	}
	return "± " + Duration(c.MaxError)
}

// healthWord names what an agent finds wrong with its host; -json has the reasons.
func healthWord(checks []netp.Check) string {
	var bad []string
	for _, c := range checks {
		if !c.OK {
			bad = append(bad, c.Name)
		}
	}
	switch {
	case len(checks) == 0:
		return "-"
	case len(bad) == 0:
		return "good"
	}
	return strings.Join(bad, ", ")
}

func tagWords(tags map[string]string) string {
	var out []string
	for k, v := range tags {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// Tokens prints one line per role token.
func (t Terminal) Tokens(tokens []enrol.Access) error {
	if len(tokens) == 0 {
		t.Printf("No role tokens. Make one with: netp tokens create -role viewer -name NAME\n")
		return nil
	}
	rows := &table{header: []string{"name", "role", "made", "good until"}}
	for _, k := range tokens {
		until := k.Expires.Local().Format(moment)
		if k.Expired {
			until = t.paint(red, "expired "+until)
		}
		rows.add(k.Name, string(k.Role), k.Made.Local().Format(time.DateOnly), until)
	}
	return rows.plain(t)
}
