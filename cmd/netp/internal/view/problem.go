package view

import (
	"strings"

	"github.com/rogpeppe/go-internal/diff"
)

// Problem prints an error that has no place in a file.
func (t Terminal) Problem(text string) {
	first, rest, _ := strings.Cut(text, "\n")
	t.Printf("%s %s\n", t.paint(red, "Error:"), first)
	if rest != "" {
		t.Printf("%s", wrap(rest, "  ", t.Width))
	}
}

// Diff prints a unified diff of two texts.
func (t Terminal) Diff(name string, before, after []byte) {
	for line := range strings.Lines(string(diff.Diff("old/"+name, before, "new/"+name, after))) {
		text := strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "-"):
			text = t.paint(red, text)
		case strings.HasPrefix(line, "+"):
			text = t.paint(green, text)
		}
		t.Printf("%s\n", text)
	}
}

// Finding prints one line of `netp doctor`, with the fix when it is not well.
func (t Terminal) Finding(name, detail, fix string, ok bool) {
	if ok {
		t.Printf("%s  %-20s %s\n", t.paint(green, "ok  "), name, detail)
		return
	}
	t.Printf("%s  %-20s %s\n", t.paint(yellow, "LOOK"), name, detail)
	t.Printf("%s", wrap(fix, "      ", t.Width))
}
