package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

//go:embed scaffold.hcl
var scaffold string

func (a *app) initCommand() *cobra.Command {
	return &cobra.Command{
		Use: "init [DIR]", Short: "Make a small suite that runs", Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.init(directory(args)) },
	}
}

// init writes a first suite into a directory that has none; it never overwrites.
func (a *app) init(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	existing, err := filepath.Glob(filepath.Join(dir, "*.hcl"))
	if err != nil {
		return err
	}
	if len(existing) > 0 {
		return fmt.Errorf("%s has a suite already: %s\nNothing was written. See what it would do with: netp plan %s", dir, filepath.Base(existing[0]), dir)
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	text := strings.Replace(scaffold, "NAME", suiteName(filepath.Base(absolute)), 1)
	if err := writeFile(filepath.Join(dir, "suite.netp.hcl"), []byte(text), 0o644); err != nil {
		return err
	}
	if err := ignoreRuns(filepath.Join(dir, ".gitignore")); err != nil {
		return err
	}
	a.out().Printf("Made %s. Next: netp plan %s, then netp apply %s\n", filepath.Join(dir, "suite.netp.hcl"), dir, dir)
	return nil
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
	return writeFile(path, append(text, ".netp/\n"...), 0o644)
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
