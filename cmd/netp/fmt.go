package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/netpupper/netp/durable"
	"github.com/netpupper/netp/lang"
)

// formatter is one run of `netp fmt`.
type formatter struct {
	app                                 *app
	check, diff, recursive, list, write bool
	changed, broken                     bool
}

func (a *app) fmtCommand() *cobra.Command {
	f := &formatter{app: a}
	c := &cobra.Command{
		Use:   "fmt [FILE|DIR|-]...",
		Short: "Rewrite suite files in canonical form",
		Long:  "Rewrite suite files in canonical form; - reads standard input and writes to standard output.\nWith -check nothing is written: exit 3 when something is not canonical, 2 when it could not be checked.",
		RunE:  func(_ *cobra.Command, args []string) error { return f.run(args) },
	}
	c.Flags().BoolVar(&f.check, "check", false, "write nothing, exit 3 when something is not canonical")
	c.Flags().BoolVar(&f.diff, "diff", false, "show what changes")
	c.Flags().BoolVar(&f.recursive, "recursive", false, "descend into directories")
	c.Flags().BoolVar(&f.list, "list", true, "list the files that change")
	c.Flags().BoolVar(&f.write, "write", true, "write the files")
	return c
}

func (f *formatter) run(args []string) error {
	if len(args) == 0 {
		args = []string{"."}
	}
	for _, arg := range args {
		if err := f.argument(arg); err != nil {
			if f.check {
				f.app.code = 2
			}
			return err
		}
	}
	switch {
	case f.broken:
		f.app.code = exitError
		if f.check {
			f.app.code = 2
		}
		return errShown
	case f.check && f.changed:
		f.app.code = exitUnformatted
	}
	return nil
}

func (f *formatter) argument(arg string) error {
	if arg == "-" {
		src, err := io.ReadAll(io.LimitReader(f.app.env.stdin, 64<<20))
		if err != nil {
			return fmt.Errorf("read standard input: %w", err)
		}
		return f.source(src, "<stdin>", nil)
	}
	info, err := os.Stat(arg)
	if err != nil {
		return fmt.Errorf("nothing to format at %s: %w\nGive a file, the directory of a suite, or - for standard input.", arg, durable.Reason(err))
	}
	if !info.IsDir() {
		return f.file(arg)
	}
	return filepath.WalkDir(arg, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != arg && (!f.recursive || strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".hcl") || strings.HasPrefix(d.Name(), "."):
			return nil
		}
		return f.file(path)
	})
}

func (f *formatter) file(path string) error {
	src, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return f.source(src, path, func(out []byte) error { return replaceFile(path, out) })
}

// source formats one text; save is nil for standard input.
func (f *formatter) source(src []byte, name string, save func([]byte) error) error {
	out, diags := lang.Format(src, name)
	if diags.HasErrors() {
		f.app.err().Diagnostics(diags, false)
		f.broken = true
		return nil
	}
	same := bytes.Equal(src, out)
	if save == nil && !f.check && !f.diff {
		_, err := f.app.env.stdout.Write(out)
		return err
	}
	if same {
		return nil
	}
	f.changed = true
	if f.list && save != nil {
		f.app.out().Printf("%s\n", name)
	}
	if f.diff {
		f.app.out().Diff(name, src, out)
	}
	if f.check || !f.write || save == nil {
		return nil
	}
	return save(out)
}

// replaceFile writes a file whole or not at all and keeps its mode.
func replaceFile(path string, data []byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("cannot rewrite %s: it is not a regular file\nGive - to read standard input and write to standard output.", path)
	}
	return durable.Replace(path, data, info.Mode().Perm())
}
