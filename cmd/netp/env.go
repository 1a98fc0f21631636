package main

import (
	"io"
	"os"
	"sort"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/netpupper/netp/cmd/netp/internal/view"
)

// environment is everything the process touches outside its arguments' meaning.
type environment struct {
	args           []string
	stdin          io.Reader
	stdout, stderr io.Writer
	lookup         func(string) (string, bool)
	environ        []string
	terminal       bool // stdout is a terminal
	answers        bool // stdin is one: somebody can be asked
	width          int  // of the terminal; 0 when there is none
	now            func() time.Time
}

func processEnvironment() environment {
	e := environment{
		args: os.Args[1:], stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		lookup: os.LookupEnv, environ: os.Environ(), now: time.Now,
	}
	e.answers = term.IsTerminal(int(os.Stdin.Fd()))
	if fd := int(os.Stdout.Fd()); term.IsTerminal(fd) {
		e.terminal = true
		if w, _, err := term.GetSize(fd); err == nil {
			e.width = w
		}
	}
	return e
}

func (e environment) get(name string) string {
	v, _ := e.lookup(name)
	return v
}

// set reports whether a switch-like variable is on.
func (e environment) set(name string) bool {
	v := e.get(name)
	return v != "" && v != "0" && !strings.EqualFold(v, "false")
}

// denied reports whether a switch-like variable is set to off.
func (e environment) denied(name string) bool { return e.get(name) != "" && !e.set(name) }

// inputVariables are the suite variables given as NETP_VAR_name, by name.
func (e environment) inputVariables() []assignment {
	var out []assignment
	for _, pair := range e.environ {
		name, value, _ := strings.Cut(pair, "=")
		if name, ok := strings.CutPrefix(name, "NETP_VAR_"); ok && name != "" {
			out = append(out, assignment{name, value})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].name < out[j].name })
	return out
}

// assignment is one -var or NETP_VAR_.
type assignment struct{ name, value string }

// screen is the terminal for people, on w.
func (e environment) screen(w io.Writer, noColor bool) view.Terminal {
	_, no := e.lookup("NO_COLOR")
	color := e.terminal && !noColor && !no && e.get("TERM") != "dumb"
	return view.Terminal{
		Out: w, Color: color, Width: e.width,
		Live: e.terminal && e.get("TERM") != "dumb" && !e.set("CI") && !e.set("NETP_IN_AUTOMATION"),
	}
}
