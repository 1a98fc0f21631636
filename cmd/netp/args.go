package main

import (
	"bytes"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// doubleDashed rewrites single-dash long flags (-out=FILE, -json) to the form the
// flag library reads. One-letter flags, "-" and what follows "--" stay.
func doubleDashed(args []string) []string {
	out := make([]string, 0, len(args))
	for i, a := range args {
		if a == "--" {
			return append(out, args[i:]...)
		}
		name, _, _ := strings.Cut(a, "=")
		if len(name) > 2 && name[0] == '-' && name[1] != '-' && !isDigit(name[1]) {
			a = "-" + a
		}
		out = append(out, a)
	}
	return out
}

// completing prepares a shell's question what a word may become. Of a flag that is
// typed with one dash the answer has one, too: shells offer only what begins as the word.
func completing(args []string, out io.Writer) ([]string, io.Writer) {
	if len(args) < 2 || args[0] != cobra.ShellCompRequestCmd && args[0] != cobra.ShellCompNoDescRequestCmd {
		return args, out
	}
	last := len(args) - 1
	if word := args[last]; !strings.HasPrefix(word, "-") || strings.HasPrefix(word, "--") {
		return args, out
	} else if len(word) > 1 {
		args = append(slices.Clone(args[:last]), "-"+word)
	}
	return args, oneDash{out}
}

// oneDash takes a dash from flags with two; each write is a line.
type oneDash struct{ to io.Writer }

func (o oneDash) Write(line []byte) (int, error) {
	if bytes.HasPrefix(line, []byte("--")) {
		n, err := o.to.Write(line[1:])
		return n + 1, err
	}
	return o.to.Write(line)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// withDefaults puts the words of NETP_CLI_ARGS behind the subcommand, so that
// what is typed has the last word.
func withDefaults(args []string, defaults string) []string {
	extra := strings.Fields(defaults)
	if len(extra) == 0 {
		return args
	}
	for i, a := range args {
		if !strings.HasPrefix(a, "-") {
			out := append([]string(nil), args[:i+1]...)
			return append(append(out, extra...), args[i+1:]...)
		}
	}
	return args
}
