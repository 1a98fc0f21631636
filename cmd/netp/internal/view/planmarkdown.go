package view

import (
	"fmt"
	"strings"

	"github.com/netpupper/netp/lang/diag"
	"github.com/netpupper/netp/plan"
)

// PlanOutcome is what planning a suite came to.
type PlanOutcome struct {
	Plan        *plan.Plan // nil when there is none
	Diagnostics diag.List
	Problem     string // why there is no plan, beside the diagnostics
}

// planWidth is for text in a pull request [columns].
const planWidth = 100

// PlanMarkdown renders a plan, or why there is none, for pull requests and step
// summaries, never longer than 65 000 characters: what does not fit is counted.
func PlanMarkdown(o PlanOutcome) string {
	var text strings.Builder
	t := Terminal{Out: &text, Width: planWidth}
	head := "## netp plan\n\n❌ **There is no plan.**\n\n"
	if o.Plan != nil {
		head = fmt.Sprintf("## netp plan: %s\n\n%s\n\n", escapeMarkdown(o.Plan.Suite.Name), escapeMarkdown(Summary(o.Plan)))
		t.Plan(o.Plan, PlanOptions{})
	}
	t.Diagnostics(o.Diagnostics, false)
	if o.Problem != "" {
		t.Problem(o.Problem)
	}
	return head + fenced(text.String(), markdownBudget-len([]rune(head)))
}

// fenced puts text into a block, as many of its lines as have room [characters].
func fenced(text string, room int) string {
	const open, end = "```text\n", "```\n"
	room -= len(open) + len(end) + len("… and 1 000 000 more lines; the job's log has them.\n")
	lines := strings.SplitAfter(strings.TrimSpace(strings.ReplaceAll(text, "```", "'''"))+"\n", "\n")
	lines = lines[:len(lines)-1] // the last is empty
	var out strings.Builder
	out.WriteString(open)
	for i, line := range lines {
		if room -= len([]rune(line)); room < 0 {
			fmt.Fprintf(&out, "… and %s; the job's log has them.\n", plural(len(lines)-i, "more line"))
			break
		}
		out.WriteString(line)
	}
	return out.String() + end
}
