package view

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/quantity"
)

// maxRunning bounds the running sessions shown one by one.
const maxRunning = 8

// Progress shows a run while it runs: on a terminal a region that redraws in
// place, elsewhere one line per finished session. It has one owner.
type Progress struct {
	terminal Terminal
	plan     *plan.Plan
	names    names
	started  time.Time
	done     int
	running  map[string]*running
	drawn    int // lines of the region on the screen
}

type running struct {
	session netp.Session
	test    string
	since   time.Time
	last    netp.Progress
}

// NewProgress begins to show a run of a plan.
func NewProgress(t Terminal, p *plan.Plan, now time.Time) *Progress {
	return &Progress{terminal: t, plan: p, names: namesOfPlan(p.Sessions), started: now, running: map[string]*running{}}
}

// Start notes that a session runs.
func (p *Progress) Start(test string, s netp.Session, now time.Time) {
	p.running[s.Addr] = &running{session: s, test: strings.TrimPrefix(test, "test."), since: now}
}

// Update takes a sign of life.
func (p *Progress) Update(u netp.Progress) {
	if r := p.running[u.Session]; r != nil {
		r.last = u
	}
}

// Finish notes a session's record; without a live terminal it prints a line.
func (p *Progress) Finish(r netp.Record) {
	delete(p.running, r.Session.Addr)
	p.done++
	if p.terminal.Live {
		return
	}
	line := fmt.Sprintf("%d/%d  %s  %s  %s  %s", p.done, len(p.plan.Sessions), strings.TrimPrefix(r.Test, "test."),
		p.names.of(r.Session), p.terminal.outcome(r), gist(r))
	p.terminal.Printf("%s\n", strings.TrimRight(line, " "))
}

// gist is the few words about a record that fit on its line.
func gist(r netp.Record) string {
	if cancelled(r) {
		return ""
	}
	if f := r.Result.Failure; f != nil {
		return strings.ReplaceAll(string(f.Kind), "_", " ")
	}
	var parts []string
	for _, j := range r.Judgements {
		for _, e := range j.Estimates {
			if part := heading(e.Metric) + " " + cell(e); !slices.Contains(parts, part) {
				parts = append(parts, part)
			}
		}
	}
	return strings.Join(parts, ", ")
}

// Draw redraws the region; without a live terminal it does nothing.
func (p *Progress) Draw(now time.Time) {
	if !p.terminal.Live {
		return
	}
	lines := []string{p.bar(now)}
	for i, addr := range slices.Sorted(maps.Keys(p.running)) {
		if i == maxRunning {
			lines = append(lines, fmt.Sprintf("  … and %d more", len(p.running)-i))
			break
		}
		lines = append(lines, p.line(p.running[addr], now))
	}
	p.replace(lines)
}

// Note prints a line above the region.
func (p *Progress) Note(text string) {
	if p.terminal.Live {
		p.replace(nil)
	}
	p.terminal.Printf("%s\n", text)
}

// Close removes the region.
func (p *Progress) Close() {
	if p.terminal.Live {
		p.replace(nil)
	}
}

// replace puts lines where the last region was.
func (p *Progress) replace(lines []string) {
	var out strings.Builder
	if p.drawn > 0 {
		fmt.Fprintf(&out, "\x1b[%dA\r", p.drawn)
	}
	for _, line := range lines {
		out.WriteString("\x1b[2K" + clip(p.terminal.clean(line), p.terminal.Width) + "\n")
	}
	out.WriteString("\x1b[J")
	p.drawn = len(lines)
	io.WriteString(p.terminal.Out, out.String())
}

func clip(line string, width int) string {
	runes := []rune(line)
	if width <= 1 || visible(line) < width {
		return line
	}
	return string(runes[:min(len(runes), width-1)])
}

func (p *Progress) bar(now time.Time) string {
	const cells = 20
	elapsed := now.Sub(p.started)
	share := float64(p.done) / float64(max(len(p.plan.Sessions), 1))
	if p.plan.Makespan > 0 {
		share = max(share, min(0.99, float64(elapsed)/float64(p.plan.Makespan)))
	}
	full := int(share * cells)
	line := fmt.Sprintf("%s   %s%s   %d of %d   %s", p.terminal.paint(bold, p.plan.Suite.Name),
		strings.Repeat("▓", full), strings.Repeat("░", cells-full), p.done, len(p.plan.Sessions), Duration(elapsed.Round(100*time.Millisecond)))
	if left := p.plan.Makespan - elapsed; left > time.Second {
		line += ", about " + Duration(left.Round(time.Second)) + " left"
	}
	return line
}

func (p *Progress) line(r *running, now time.Time) string {
	line := fmt.Sprintf("  %-12s %s   %s", r.test, p.names.of(r.session), Duration(now.Sub(r.since).Round(100*time.Millisecond)))
	for _, v := range []struct{ name, unit string }{
		{"rate", "bit/s"}, {"rtt", "s"}, {"packets", "packets"}, {"lost", "lost"}, {"retransmits", "retransmits"},
	} {
		if value, ok := r.last.Values[v.name]; ok {
			line += "   " + quantity.Format(value, v.unit)
		}
	}
	return line
}
