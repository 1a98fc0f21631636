package lang

import "time"

// Limits bound what a suite may take from the process that loads it, so that a
// hostile commit yields a diagnostic and not an outage. A zero field means the
// default.
type Limits struct {
	Files      int   // files of the suite and its modules; default 10 000
	FileBytes  int64 // one file; default 8 MiB
	TotalBytes int64 // all files; default 32 MiB
	Tokens     int   // of all files; default 4 000 000
	Nesting    int   // brackets, blocks, templates within each other; default 100
	Chain      int   // operators, steps and calls in one expression; default 1000
	Unary      int   // ! and - in a row; default 32
	Modules    int   // module calls within each other; default 8

	Elements    int           // elements a value may have in all; default 1 000 000
	Expansion   int           // elements that range, setproduct or split may make; default 100 000
	StringBytes int           // one string; default 1 MiB
	Instances   int           // instances of all for_each together; default 100 000
	Steps       int64         // values made while evaluating; default 20 million
	Time        time.Duration // of the clock for evaluating everything; default 30 s, a back-stop behind Steps
	Diagnostics int           // kept; default 1000
}

// DefaultLimits are the bounds used when nothing else is asked for.
func DefaultLimits() Limits {
	return Limits{
		Files: 10_000, FileBytes: 8 << 20, TotalBytes: 32 << 20,
		Tokens: 4_000_000, Nesting: 100, Chain: 1000, Unary: 32, Modules: 8,
		Elements: 1_000_000, Expansion: 100_000, StringBytes: 1 << 20,
		Instances: 100_000, Steps: 20_000_000, Time: 30 * time.Second, Diagnostics: 1000,
	}
}

// complete replaces zero fields by the defaults.
func (l Limits) complete() Limits {
	d := DefaultLimits()
	orInt(&l.Files, d.Files)
	orInt(&l.FileBytes, d.FileBytes)
	orInt(&l.TotalBytes, d.TotalBytes)
	orInt(&l.Tokens, d.Tokens)
	orInt(&l.Nesting, d.Nesting)
	orInt(&l.Chain, d.Chain)
	orInt(&l.Unary, d.Unary)
	orInt(&l.Modules, d.Modules)
	orInt(&l.Elements, d.Elements)
	orInt(&l.Expansion, d.Expansion)
	orInt(&l.StringBytes, d.StringBytes)
	orInt(&l.Instances, d.Instances)
	orInt(&l.Steps, d.Steps)
	orInt(&l.Time, d.Time)
	orInt(&l.Diagnostics, d.Diagnostics)
	return l
}

func orInt[T ~int | ~int64](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}
