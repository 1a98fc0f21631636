package main

import "strings"

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
