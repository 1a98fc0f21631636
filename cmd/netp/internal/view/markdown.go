package view

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/netpupper/netp"
)

// markdownBudget keeps a report under the limit of pull-request comments
// (65 536 characters on the common forges).
const markdownBudget = 65_000

// Markdown renders a report for pull requests and step summaries, never longer
// than 65 000 characters: what does not fit is counted, worst first.
func Markdown(r netp.Report) (string, error) {
	head := markdownHead(r)
	listed, names := worstFirst(r.Records), namesOf(r.Records)
	for n := len(listed); ; n /= 2 {
		text, err := markdownBody(head, listed[:n], names, len(r.Records)-n)
		if err != nil {
			return "", err
		}
		if len([]rune(text)) <= markdownBudget || n == 0 {
			return text, nil
		}
	}
}

func markdownHead(r netp.Report) string {
	word := cmp.Or(string(r.Status), unfinished)
	if r.Cancelled && !r.Ended.IsZero() { // as on the terminal
		word = "cancelled"
	}
	return fmt.Sprintf("## netp: %s %s\n\n**%s** · %s · %s · run `%s`\n\n",
		escapeMarkdown(r.Suite), mark(r.Status), strings.ToUpper(word), outcomes(r.Counts), Duration(took(r)), ShortID(r.Run))
}

func mark(s netp.Status) string {
	switch s {
	case netp.Pass:
		return "✅"
	case netp.Inconclusive:
		return "❔"
	}
	return "❌"
}

// worstFirst orders records by how bad they are, keeping the order within.
func worstFirst(records []netp.Record) []netp.Record {
	var out []netp.Record
	for _, s := range []netp.Status{netp.Errored, netp.Fail, netp.Inconclusive, netp.Pass} {
		for _, r := range records {
			if r.Status == s {
				out = append(out, r)
			}
		}
	}
	return out
}

func markdownBody(head string, records []netp.Record, n names, left int) (string, error) {
	var out strings.Builder
	out.WriteString(head)
	if len(records) > 0 {
		text, err := Terminal{}.resultTable(records, n).markdown()
		if err != nil {
			return "", err
		}
		out.WriteString(text + "\n")
	}
	if left > 0 {
		fmt.Fprintf(&out, "… and %s more; see `netp show`.\n\n", plural(left, "session"))
	}
	for _, r := range records {
		for _, j := range r.Judgements {
			if j.Status != netp.Pass {
				fmt.Fprintf(&out, "<details><summary>%s %s %s assert %q</summary>\n\n```text\n%s\n```\n</details>\n\n",
					strings.ToUpper(string(j.Status)), escapeMarkdown(r.Test), escapeMarkdown(n.of(r.Session)), escapeMarkdown(j.Assertion),
					strings.ReplaceAll(judgementText(r, j), "```", "'''"))
			}
		}
		if f := r.Result.Failure; f != nil && len(r.Judgements) == 0 {
			fmt.Fprintf(&out, "- **%s** %s %s: %s\n\n", strings.ToUpper(string(r.Status)), escapeMarkdown(r.Test), escapeMarkdown(n.of(r.Session)), escapeMarkdown(f.Detail))
		}
	}
	return out.String(), nil
}
