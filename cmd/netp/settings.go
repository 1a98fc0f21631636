package main

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// settings are the flags of a daemon that also has a configuration file. A flag is
// checked when it is given and put into the configuration once the file has been
// read, so that it wins.
type settings[T any] struct{ all []*daemonFlag[T] }

// daemonFlag is one of them.
type daemonFlag[T any] struct {
	name, form, shown string
	texts             []string
	put               func(into *T, texts []string) error
}

// flag declares a flag. Usage names the form of its value in backquotes; shown is
// what holds without it, "" for nothing.
func (s *settings[T]) flag(flags *pflag.FlagSet, name, shown, usage string, put func(*T, []string) error) {
	one := &daemonFlag[T]{name: name, shown: shown, put: put}
	one.form, _ = pflag.UnquoteUsage(&pflag.Flag{Name: name, Usage: usage, Value: one})
	s.all = append(s.all, one)
	flags.Var(one, name, usage)
}

// apply puts what was given over what a configuration has.
func (s *settings[T]) apply(into *T) error {
	for _, one := range s.all {
		if len(one.texts) == 0 {
			continue
		}
		if err := one.put(into, one.texts); err != nil {
			return fmt.Errorf("-%s: %w", one.name, err)
		}
	}
	return nil
}

func (s *daemonFlag[T]) String() string { return s.shown }
func (s *daemonFlag[T]) Type() string   { return s.form }

// Set notes a value; one that cannot be read is an error now, not later.
func (s *daemonFlag[T]) Set(text string) error {
	var scratch T
	texts := append(s.texts, text)
	if err := s.put(&scratch, texts); err != nil {
		return err
	}
	s.texts = texts
	return nil
}

// single makes the put of a flag that is given once; the last one counts.
func single[T, V any](read func(string) (V, error), field func(*T) *V) func(*T, []string) error {
	return func(into *T, texts []string) error {
		v, err := read(texts[len(texts)-1])
		if err == nil {
			*field(into) = v
		}
		return err
	}
}

// list makes the put of a flag that may be repeated, and separated by commas.
func list[T, V any](read func(string) (V, error), field func(*T) *[]V) func(*T, []string) error {
	return func(into *T, texts []string) error {
		var all []V
		for text := range strings.SplitSeq(strings.Join(texts, ","), ",") {
			v, err := read(strings.TrimSpace(text))
			if err != nil {
				return err
			}
			all = append(all, v)
		}
		*field(into) = all
		return nil
	}
}

func asText(text string) (string, error) { return text, nil }
