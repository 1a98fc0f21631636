package view

import (
	"fmt"
	"strings"
	"time"

	"github.com/netpupper/netp/runner/api"
	"github.com/netpupper/netp/runner/apply"
	"github.com/netpupper/netp/runner/gitops"
	"github.com/netpupper/netp/runner/standing"
)

// Status shows how a controller is: what runs, what it follows, what repeats, and
// who receives records.
func (t Terminal) Status(address string, s api.Status, now time.Time) error {
	draining := ""
	if s.Draining > 0 {
		draining = fmt.Sprintf(" (%d draining)", s.Draining)
	}
	t.Printf("Controller  %s, netp %s\nAgents      %d present%s\n", address, s.Version, s.Agents, draining)
	for _, l := range s.Running {
		t.Printf("Running     suite %s: run %s by %s, since %s\n", l.Suite, ShortID(l.Run), l.Holder, l.Since.Local().Format(time.RFC3339))
	}
	turns := 0
	for _, one := range s.Standing {
		turns += min(1, one.Running)
	}
	switch {
	case turns > 0:
		t.Printf("Running     %s\n", plural(turns, "standing test"))
	case len(s.Running) == 0:
		t.Printf("Running     nothing\n")
	}
	if err := t.sources(s.Sources, now); err != nil {
		return err
	}
	if err := t.standingTests(s.Standing, now); err != nil {
		return err
	}
	return t.sinks(s.Sinks, now)
}

func (t Terminal) sources(list []gitops.Status, now time.Time) error {
	if len(list) == 0 {
		return nil
	}
	t.Printf("\n")
	rows := &table{header: []string{"source", "ready", "applied", "attempted", "suites", "signed", "since"}, spare: []int{6, 5, 4}}
	for _, s := range list {
		ready := s.Condition(gitops.Ready)
		rows.add(s.Name, t.readiness(s), revision(s.LastApplied), revision(s.LastAttempted), suites(s.Suites),
			signature(s.Condition(gitops.SourceVerified).Status), ago(ready.Since, now))
	}
	if err := rows.plain(t); err != nil {
		return err
	}
	for _, s := range list {
		t.SourceTrouble(s)
	}
	return nil
}

// signature says whether commits are signed, as far as keys are configured to ask.
func signature(status string) string {
	switch status {
	case gitops.True:
		return "yes"
	case gitops.False:
		return "no"
	}
	return "not checked"
}

// readiness is Ready in a word, with its reason when it is not true.
func (t Terminal) readiness(s gitops.Status) string {
	ready := s.Condition(gitops.Ready)
	switch {
	case s.Suspended:
		return t.paint(yellow, "suspended")
	case ready.Status == gitops.True:
		return t.paint(green, "yes")
	case s.Condition(gitops.Stalled).Status == gitops.True:
		return t.paint(red, "STALLED "+ready.Reason)
	case ready.Status == gitops.False:
		return t.paint(red, "no "+ready.Reason)
	}
	return t.paint(yellow, "not yet")
}

// SourceTrouble says in sentences why a source is not ready, or in a line each what the suites that are applied warn of.
func (t Terminal) SourceTrouble(s gitops.Status) {
	ready := s.Condition(gitops.Ready)
	switch {
	case ready.Status == gitops.False:
		t.Printf("\n")
		t.fold(fmt.Sprintf("%s %s: %s", s.Name, ready.Reason, ready.Message), "  ")
		t.Diagnostics(s.Diagnostics, false)
	case len(s.Diagnostics) > 0:
		t.Printf("\n%s has %s:\n", s.Name, plural(len(s.Diagnostics), "warning"))
		t.Diagnostics(s.Diagnostics, true)
	}
}

// revision shortens main@sha1:<commit> to what tells commits apart.
func revision(r gitops.Revision) string {
	branch, digest, ok := strings.Cut(string(r), "@")
	algorithm, id, found := strings.Cut(digest, ":")
	if !ok || !found {
		return dash(string(r))
	}
	return branch + "@" + algorithm + ":" + id[:min(len(id), 10)]
}

func suites(list []gitops.SuiteStatus) string {
	var names []string
	for _, s := range list {
		names = append(names, s.Name)
	}
	return dash(strings.Join(names, " "))
}

func (t Terminal) standingTests(list []standing.Status, now time.Time) error {
	if len(list) == 0 {
		return nil
	}
	t.Printf("\n")
	rows := &table{header: []string{"standing test", "schedule", "sessions", "next", "last", "verdict", "missed", "note"}, spare: []int{7, 4, 2, 6}}
	for _, s := range list {
		verdict := "-"
		if s.Verdict != "" {
			verdict = t.verdict(s.Verdict)
		}
		if s.Running > 0 {
			verdict += " (running)"
		}
		rows.add(s.Suite+" "+s.Test, s.Schedule, itoa(s.Sessions), in(s.Next, now), ago(s.Last, now), verdict, fmt.Sprint(s.Missed), dash(s.Fault))
	}
	return rows.plain(t)
}

// in says how far away a moment is.
func in(at, now time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return "in " + Duration(max(0, at.Sub(now)).Round(100*time.Millisecond))
}

func (t Terminal) sinks(list []apply.SinkState, now time.Time) error {
	if len(list) == 0 {
		return nil
	}
	t.Printf("\n")
	rows := &table{header: []string{"sink", "state", "delivered", "pending", "rejected", "last", "error"}, spare: []int{6, 4, 5}}
	for _, s := range list {
		state, pending := t.paint(green, "ok"), itoa(s.Pending)
		if s.Failing {
			state = t.paint(red, "FAILING")
		}
		if s.More {
			pending += " and more"
		}
		trouble := "-"
		if s.Failing {
			trouble = dash(s.LastError)
		}
		rows.add(s.Sink, state, fmt.Sprint(s.Delivered), pending, fmt.Sprint(s.Rejected), ago(s.LastDelivered, now), trouble)
	}
	return rows.plain(t)
}
