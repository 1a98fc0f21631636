package view

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/plan/schedule"
	"github.com/netpupper/netp/quantity"
)

// maxListed bounds the tests a plan lists one by one.
const maxListed = 40

// PlanOptions say how a plan is printed.
type PlanOptions struct {
	CompactWarnings bool // one line each
}

// Plan prints what would change and run, when, at what cost, with what power.
func (t Terminal) Plan(p *plan.Plan, o PlanOptions) {
	t.Printf("suite %s (%s, %s)\n\n", t.paint(bold, p.Suite.Name), p.Suite.Dir, plural(p.Suite.Files, "file"))
	t.changes(p.Changes)
	t.schedule(p)
	t.traffic(p.Cost)
	t.standing(p.Cost.Standing)
	t.power(p.Power)
	t.Printf("\n")
	t.Diagnostics(p.Warnings, o.CompactWarnings)
	t.Printf("%s\n", t.paint(bold, Summary(p)))
}

// Summary is the closing line of a plan: "Plan: 2 tests to add, …".
func Summary(p *plan.Plan) string {
	n := map[plan.Action]int{}
	for _, c := range p.Changes {
		n[c.Action]++
	}
	if n[plan.Create]+n[plan.Update]+n[plan.Destroy] == 0 {
		return fmt.Sprintf("No changes: the tests are as applied. %s.", plural(len(p.Sessions), "session"))
	}
	return fmt.Sprintf("Plan: %s to add, %d to change, %d to remove. %s.",
		plural(n[plan.Create], "test"), n[plan.Update], n[plan.Destroy], plural(len(p.Sessions), "session"))
}

func (t Terminal) changes(changes []plan.Change) {
	rows := &table{header: []string{"", "", "", "", ""}}
	hidden := 0
	for _, c := range changes {
		sign := t.sign(c.Action)
		if sign == "" {
			continue
		}
		if len(rows.rows) == maxListed {
			hidden++
			continue
		}
		switch c.Action {
		case plan.Destroy:
			rows.add(sign, c.Addr, "removed", "", "")
		case plan.Update:
			rows.add(sign, c.Addr, plural(c.Sessions, "path"), attributes(c.Attributes), c.Schedule)
		default:
			rows.add(sign, c.Addr, plural(c.Sessions, "path"), c.Summary, c.Schedule)
		}
	}
	t.columns(rows.rows)
	if hidden > 0 {
		t.Printf("  … and %d more; -json lists all\n", hidden)
	}
	if len(rows.rows) > 0 {
		t.Printf("\n")
	}
}

// columns prints rows aligned, without a header.
func (t Terminal) columns(rows [][]string) {
	widths := map[int]int{}
	for _, row := range rows {
		for i, c := range row {
			widths[i] = max(widths[i], visible(c))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		line.WriteString("  ")
		for i, c := range row {
			if widths[i] > 0 {
				line.WriteString(c + strings.Repeat(" ", widths[i]-visible(c)+gap(i)))
			}
		}
		t.Printf("%s\n", strings.TrimRight(line.String(), " "))
	}
}

func gap(column int) int {
	if column == 0 {
		return 1
	}
	return 3
}

func (t Terminal) sign(a plan.Action) string {
	switch a {
	case plan.Create:
		return t.paint(green, "+")
	case plan.Update:
		return t.paint(yellow, "~")
	case plan.Destroy:
		return t.paint(red, "-")
	}
	return ""
}

func attributes(list []plan.AttributeChange) string {
	var parts []string
	for _, a := range list {
		parts = append(parts, fmt.Sprintf("%s %s → %s", a.Name, a.Before, a.After))
	}
	if len(parts) > 3 {
		parts = append(parts[:3], fmt.Sprintf("and %d more", len(list)-3))
	}
	return strings.Join(parts, ", ")
}

func (t Terminal) schedule(p *plan.Plan) {
	if len(p.Sessions) == 0 {
		t.Printf("Schedule   no sessions: nothing is selected\n")
		return
	}
	alone := 0
	for _, s := range p.Sessions {
		if slices.Contains(s.Claims, schedule.Claim{Resource: plan.Host, Exclusive: true}) {
			alone++
		}
	}
	how := turns(p.Sessions)
	if alone > 1 {
		how += "; those that seek the capacity take turns, because their agents share this host"
	}
	t.Printf("Schedule   %s, %s%s\n", plural(len(p.Sessions), "session"), Duration(p.Makespan), how)
}

// maxTurns bounds the tests whose sessions the schedule tells apart.
const maxTurns = 4

// turns says how the sessions of each test lie in time, or with many tests those of all.
func turns(sessions []plan.Session) string {
	rounds := 0
	tests := map[string]map[int]int{} // sessions by round, by test
	for _, s := range sessions {
		rounds = max(rounds, s.Round)
		if tests[s.Test] == nil {
			tests[s.Test] = map[int]int{}
		}
		tests[s.Test][s.Round]++
	}
	switch {
	case rounds <= 1:
		return ", side by side"
	case len(tests) == 1 || len(tests) > maxTurns:
		return fmt.Sprintf(", in %d rounds", rounds)
	}
	var parts []string
	for _, test := range slices.Sorted(maps.Keys(tests)) {
		parts = append(parts, strings.TrimPrefix(test, "test.")+" "+turnsOf(tests[test]))
	}
	return ": " + strings.Join(parts, ", ")
}

// turnsOf says it of one test, by how many of its sessions there are in each round.
func turnsOf(rounds map[int]int) string {
	sizes := slices.Sorted(maps.Values(rounds))
	least, most := sizes[0], sizes[len(sizes)-1]
	switch {
	case len(rounds) == 1 && most == 1:
		return "1 session"
	case len(rounds) == 1:
		return "side by side"
	case most == 1:
		return "one by one"
	case least == most:
		return fmt.Sprintf("in %d rounds of %d", len(rounds), most)
	}
	return fmt.Sprintf("in %d rounds of up to %d", len(rounds), most)
}

func (t Terminal) traffic(c plan.Cost) {
	if c.Bytes == 0 && !c.Estimated {
		return
	}
	about := ""
	switch {
	case c.AssumedRate > 0:
		about = "about "
	case c.Estimated:
		about = "up to "
	}
	line := fmt.Sprintf("Traffic    %s%s in all", about, quantity.Format(float64(c.Bytes), "B"))
	if c.AssumedRate > 0 {
		line += fmt.Sprintf(", if paths without a declared capacity carry %s", quantity.Format(c.AssumedRate, "bit/s"))
	}
	for i, place := range c.Places {
		if i == 2 {
			break
		}
		lead := " · "
		if i == 0 {
			lead = " · busiest: "
		}
		both, one := "", ""
		if strings.HasPrefix(string(place.Place), "link.") {
			both, one = " both ways", " one way"
		}
		line += fmt.Sprintf("%s%s, %s%s, peak %s%s", lead, place.Place, quantity.Format(float64(place.Bytes), "B"), both, quantity.Format(place.PeakRate, "bit/s"), one)
		if place.Capacity > 0 {
			line += fmt.Sprintf(" (%s of %s)", quantity.Format(place.PeakRate/place.Capacity, "1"), quantity.Format(place.Capacity, "bit/s"))
		}
	}
	t.fold(line, "           ")
}

// standing says how busy standing tests keep the places they load most.
func (t Terminal) standing(shares []plan.PlaceShare) {
	if len(shares) == 0 {
		return
	}
	line := "Standing   on average"
	for i, s := range shares {
		if i == 2 {
			break
		}
		lead := " · "
		if i == 0 {
			lead = " "
		}
		line += fmt.Sprintf("%s%s: %s", lead, s.Place, quantity.Format(s.Rate, "bit/s"))
		if s.Alone > 0 {
			line += fmt.Sprintf(", taken as a whole %s of the time", quantity.Format(s.Alone, "1"))
		}
	}
	t.fold(line, "           ")
}

func (t Terminal) power(list []plan.Power) {
	// Two limits of one metric read the same.
	list = slices.CompactFunc(slices.Clone(list), func(a, b plan.Power) bool { return a.Text == b.Text })
	for i, p := range list {
		lead := "           "
		if i == 0 {
			lead = "Power      "
		}
		if i == maxListed {
			t.Printf("%s… and %d more; -json lists all\n", lead, len(list)-i)
			return
		}
		t.fold(lead+p.Text, "           ")
	}
}

// Duration writes a span for people: "1m 32s", "9.4 s".
func Duration(d time.Duration) string {
	if d < time.Minute {
		return quantity.Duration(d)
	}
	d = d.Round(time.Second)
	h, m, s := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	if h > 0 {
		return fmt.Sprintf("%dh %dm", h, m)
	}
	return fmt.Sprintf("%dm %ds", m, s)
}
