package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/cmd/netp/internal/view"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/runner/store"
)

// pastFlags choose among the records of a path.
type pastFlags struct {
	since, suite, test string
	limit              int
}

func (f *pastFlags) flags(c *cobra.Command) {
	c.Flags().StringVar(&f.since, "since", "", "only what was recorded since: an age (36h, 7d) or a time (2026-11-01, 2026-11-01T08:00:00Z)")
	c.Flags().StringVar(&f.suite, "suite", "", "only of this suite")
	c.Flags().StringVar(&f.test, "test", "", "only of this test: test.voice, or voice")
	c.Flags().IntVar(&f.limit, "limit", 20, "list at most this many; 0 for all")
}

func (a *app) historyCommand() *cobra.Command {
	var r reach
	var f pastFlags
	var dir string
	var json bool
	c := &cobra.Command{
		Use:   "history [PATH]",
		Short: "Show how a path did over time, the latest first; without PATH, list the paths",
		Long: "Show the records of a path, the latest first. PATH is a pair, a pair by one interface, the address\n" +
			"of a path, or a whole path block; without it the paths that have records are listed:\n" +
			"  netp history\n  netp history 'syd->mel' -since=7d\n  netp history 'syd -> mel via telco-a'\n  netp history 'path.core[\"syd->mel\"]' -test=voice\n  netp history path.core",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			past, err := f.past(args, a.env.now())
			if err != nil {
				return err
			}
			b, err := a.backendOf(r, dir)
			if err != nil {
				return err
			}
			if past.Path == "" {
				return a.listPaths(c.Context(), b, json)
			}
			return a.showHistory(c.Context(), b, past, json)
		},
	}
	r.flags(c)
	f.flags(c)
	c.Flags().BoolVar(&json, "json", false, "as one JSON document, with the whole records")
	c.Flags().StringVar(&dir, "dir", ".", "the suite's directory, where its runs are kept")
	return c
}

// past is what the flags ask for; its Path is "" to list paths.
func (f pastFlags) past(args []string, now time.Time) (store.Past, error) {
	past := store.Past{Suite: f.suite, Test: f.test, Limit: f.limit}
	if err := checkNumber("limit", f.limit); err != nil {
		return past, err
	}
	if len(args) == 0 {
		if f.since != "" || f.suite != "" || f.test != "" {
			return past, fmt.Errorf("-since, -suite and -test choose among the records of a path\nName the path: netp history 'syd->mel'; or list the paths: netp history")
		}
		return past, nil
	}
	if past.Path = pathName(args[0]); past.Path == "" {
		return past, fmt.Errorf("the name of the path is empty\nList the paths: netp history")
	}
	if past.Test != "" && !strings.Contains("."+past.Test, ".test.") {
		past.Test = "test." + past.Test
	}
	if f.since != "" {
		var err error
		if past.Since, err = parseSince(f.since, now); err != nil {
			return past, err
		}
	}
	return past, nil
}

// checkNumber refuses a flag that is below nothing.
func checkNumber(flag string, n int) error {
	if n < 0 {
		return fmt.Errorf("-%s=%d: it is 1 or more, or 0 for all", flag, n)
	}
	return nil
}

// pathName takes a pair as tables show it, syd → mel via telco-a, too.
func pathName(text string) string {
	text = strings.TrimSpace(text)
	for _, arrow := range []string{"→", "->"} {
		if from, to, found := strings.Cut(text, arrow); found {
			return strings.TrimSpace(from) + "->" + strings.TrimSpace(to)
		}
	}
	return text
}

func (a *app) listPaths(ctx context.Context, b archive, json bool) error {
	paths, err := b.Paths(ctx)
	if err != nil {
		return err
	}
	if json {
		return view.Document(a.env.stdout, map[string]any{"format_version": netp.FormatVersion, "paths": paths})
	}
	return a.out().Paths(paths)
}

func (a *app) showHistory(ctx context.Context, b archive, past store.Past, json bool) error {
	records, err := pastRecords(ctx, b, past)
	if err != nil {
		return err
	}
	if json {
		if records == nil {
			records = []netp.Record{}
		}
		return view.Document(a.env.stdout, map[string]any{"format_version": netp.FormatVersion, "records": records})
	}
	if len(records) == 0 {
		return nothingFound(ctx, b, past)
	}
	return a.out().History(records, past.Limit, keptIn(b))
}

// pastRecords are those asked for, also by the name that tables give to a pair of one of several blocks.
func pastRecords(ctx context.Context, b archive, past store.Past) ([]netp.Record, error) {
	found, err := b.History(ctx, past)
	if err != nil || len(found) > 0 || !strings.Contains(past.Path, ":") {
		return found, err
	}
	paths, err := b.Paths(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range paths {
		if view.Calls(p.Path, past.Path) {
			past.Path = p.Path
			return b.History(ctx, past)
		}
	}
	return nil, nil
}

// maxNamed is how many paths an error names.
const maxNamed = 10

// nothingFound says why: there is no such path, or nothing of it that was asked for.
func nothingFound(ctx context.Context, b archive, past store.Past) error {
	if past.Suite != "" || past.Test != "" || !past.Since.IsZero() {
		whole, err := pastRecords(ctx, b, store.Past{Path: past.Path, Limit: 1})
		if err != nil {
			return err
		}
		if len(whole) > 0 {
			r := whole[0]
			return fmt.Errorf("path %s has no records that -since, -suite and -test let through\nIts latest is of %s in suite %s, %s.",
				past.Path, r.Test, r.Suite, r.Written.Local().Format(time.RFC3339))
		}
	}
	paths, err := b.Paths(ctx)
	if err != nil {
		return err
	}
	if len(paths) == 0 {
		return fmt.Errorf("nothing is recorded yet\nRun a suite first: netp apply DIR")
	}
	names := make([]string, 0, maxNamed)
	for _, p := range paths[:min(len(paths), maxNamed)] {
		names = append(names, p.Path)
	}
	more := ""
	if n := len(paths) - maxNamed; n > 0 {
		more = fmt.Sprintf("\n  and %d more: netp history", n)
	}
	return fmt.Errorf("path %s has no records\nThese have:\n  %s%s", past.Path, strings.Join(names, "\n  "), more)
}

// parseSince reads an age or a time.
func parseSince(text string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, time.DateTime} {
		if at, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return at, nil
		}
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	age, err := lang.ParseDuration(text)
	if err != nil {
		return time.Time{}, fmt.Errorf("-since=%s: it is an age (36h, 7d) or a time (2026-11-01, 2026-11-01T08:00:00Z)", text)
	}
	return now.Add(-age), nil
}
