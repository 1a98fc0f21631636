package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/netpupper/netp/cmd/netp/internal/view"
	"github.com/netpupper/netp/durable"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/lang/diag"
)

// inputs are the variables of the command line, -var and -var-file in the order given.
type inputs struct{ given []lang.VariableValue }

func (in *inputs) flags(c *cobra.Command) {
	c.Flags().Var(&inputFlag{in, "name=value", readAssignment}, "var", "set a variable: -var 'name=value'; may be repeated")
	c.Flags().Var(&inputFlag{in, "file", func(text string) (lang.VariableValue, error) {
		return lang.VariableValue{File: text, Source: "-var-file"}, nil
	}}, "var-file", "read variables from a file; may be repeated")
}

// inputFlag appends to the inputs; both flags share one list, because the last wins.
type inputFlag struct {
	to   *inputs
	form string
	read func(string) (lang.VariableValue, error)
}

func (f *inputFlag) String() string { return "" }

func (f *inputFlag) Type() string { return f.form }

func (f *inputFlag) Set(text string) error {
	v, err := f.read(text)
	f.to.given = append(f.to.given, v)
	return err
}

func readAssignment(text string) (lang.VariableValue, error) {
	name, value, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return lang.VariableValue{}, errors.New("write -var 'name=value'")
	}
	return lang.VariableValue{Name: name, Text: value, Source: "-var"}, nil
}

// load reads the suite in dir with the variables of environment and flags. Without errors among the diagnostics there is a suite.
func (a *app) load(dir string, in inputs) (*lang.Suite, diag.List) {
	if info, err := os.Stat(dir); err != nil {
		return nil, noSuite("There is no suite at %s: %s. Give the directory of a suite, or make one with: netp init DIR", dir, durable.Reason(err))
	} else if !info.IsDir() {
		return nil, noSuite("%s is a file. A suite is a directory of *.hcl files; give the directory: %s", dir, filepath.Dir(dir))
	}
	options := lang.Options{Catalogue: a.catalogue, Variables: in.given, Environ: a.env.lookup, Version: version}
	for _, v := range a.env.inputVariables() {
		options.EnvVariables = append(options.EnvVariables, lang.VariableValue{Name: v.name, Text: v.value, Source: "NETP_VAR_" + v.name})
	}
	roomy()
	return lang.Load(dir, options)
}

func noSuite(format string, args ...any) diag.List {
	return diag.List{{Severity: diag.Error, Summary: "No suite", Detail: fmt.Sprintf(format, args...)}}
}

// directory is the suite's directory: the argument, or the working directory.
func directory(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return "."
}

func (a *app) validateCommand() *cobra.Command {
	var in inputs
	var json, compact bool
	c := &cobra.Command{
		Use: "validate [DIR]", Short: "Check a suite without running anything", Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			_, diags := a.load(directory(args), in)
			if diags.HasErrors() {
				a.code = exitError
			}
			if json {
				return view.Validation(a.env.stdout, diags)
			}
			a.err().Diagnostics(diags, compact)
			if a.code == exitPass {
				a.out().Printf("The suite in %s is valid.\n", directory(args))
			}
			return nil
		},
	}
	in.flags(c)
	c.Flags().BoolVar(&json, "json", false, "print the diagnostics as one JSON document")
	c.Flags().BoolVar(&compact, "compact-warnings", false, "one line per warning")
	return c
}

// quoted gives diagnostics of a plan the line of source they are about; those of
// the language have theirs.
func quoted(dir string, list diag.List) diag.List {
	for i, d := range list {
		if d.Range == nil || d.Snippet != nil {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(d.Range.Filename)))
		if err != nil {
			continue // the place alone must do
		}
		lines := strings.Split(string(text), "\n")
		if n := d.Range.Start.Line; n >= 1 && n <= len(lines) {
			code := strings.TrimRight(lines[n-1], "\r")
			start := min(max(d.Range.Start.Column-1, 0), len(code))
			end := len(code)
			if d.Range.End.Line == n {
				end = min(max(d.Range.End.Column-1, start), len(code))
			}
			list[i].Snippet = &diag.Snippet{Code: code, Context: d.Address, StartLine: n, HighlightStartOffset: start, HighlightEndOffset: end, Values: []diag.Value{}}
		}
	}
	return list
}
