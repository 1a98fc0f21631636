package main

import (
	"context"
	_ "embed"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/netpupper/netp/durable"
)

//go:embed scaffold.hcl
var scaffold string

func (a *app) initCommand() *cobra.Command {
	return &cobra.Command{
		Use: "init [DIR]", Short: "Make a small suite that runs, or pin the plugins of the one there is",
		Long: "Make a small suite that runs in a directory that has none. In one with a suite, find the plugins\n" +
			"of its sinks and pin them by version and hash in .netp.lock.hcl: from then on nothing else runs.\n" +
			"For a controller put the file into its data directory. To pin another program, take the\n" +
			"plugin out of the file first.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.init(c.Context(), directory(args)) },
	}
}

// init writes a first suite into a directory that has none; it never overwrites.
func (a *app) init(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	existing, err := filepath.Glob(filepath.Join(dir, "*.hcl"))
	if err != nil {
		return err
	}
	if len(existing) > 0 {
		return a.initPlugins(ctx, dir)
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	text := strings.Replace(scaffold, "NAME", suiteName(filepath.Base(absolute)), 1)
	if err := durable.Replace(filepath.Join(dir, "suite.netp.hcl"), []byte(text), 0o644); err != nil {
		return err
	}
	if err := ignoreRuns(filepath.Join(dir, ".gitignore")); err != nil {
		return err
	}
	a.out().Printf("Made %s. Next: netp plan %s, then netp apply %s\n", filepath.Join(dir, "suite.netp.hcl"), dir, dir)
	return nil
}

// initPlugins pins what the suite in dir needs.
func (a *app) initPlugins(ctx context.Context, dir string) error {
	suite, diags := a.load(dir, inputs{})
	switch {
	case diags.HasErrors():
		a.err().Diagnostics(diags, false)
		return errShown
	case len(suite.Sinks) == 0:
		a.out().Printf("%s has a suite already, and it needs no plugins. Nothing was written. See what it would do with: netp plan %s\n", dir, dir)
		return nil
	}
	return a.lockPlugins(ctx, suite)
}

// ignoreRuns keeps the local history out of git.
func ignoreRuns(path string) error {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for line := range strings.Lines(string(text)) {
		if strings.TrimSpace(line) == ".netp/" {
			return nil
		}
	}
	if len(text) > 0 && !strings.HasSuffix(string(text), "\n") {
		text = append(text, '\n')
	}
	return durable.Replace(path, append(text, ".netp/\n"...), 0o644)
}

// suiteName makes a directory's name fit for a suite.
func suiteName(name string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		}
		return '-'
	}, name)
	if clean = strings.Trim(clean, "-"); clean == "" {
		return "suite"
	}
	return clean
}
