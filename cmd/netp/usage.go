package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// explainUse has a command and those below it say how they are used when they are not
// used so.
func explainUse(c *cobra.Command) {
	for _, below := range c.Commands() {
		explainUse(below)
	}
	c.SuggestionsMinimumDistance = 2
	if !c.Runnable() { // it would print its help, and exit as if all were well
		c.Args, c.DisableFlagsInUseLine = cobra.ArbitraryArgs, true
		c.RunE = func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return noCommand(c, args[0])
			}
			return c.Help()
		}
	}
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			err := check(c, args)
			switch {
			case err == nil:
				return nil
			case c.HasSubCommands():
				return noCommand(c, args[0])
			}
			return fmt.Errorf("wrong number of arguments: %d\nWrite: %s", len(args), strings.Replace(c.UseLine(), " [flags]", "", 1))
		}
	}
	c.SetFlagErrorFunc(wrongFlag)
}

func noCommand(c *cobra.Command, word string) error {
	hint := ""
	if near := c.SuggestionsFor(word); len(near) > 0 {
		hint = fmt.Sprintf(" Did you mean %s?", near[0])
	}
	return fmt.Errorf("%s has no command %q.%s\nTo list its commands: %s -help", c.CommandPath(), word, hint, c.CommandPath())
}

// wrongFlag says in our words, with one dash, what is wrong with a flag.
func wrongFlag(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var empty *pflag.ValueRequiredError
	var wrong *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		err = fmt.Errorf("%s has no flag -%s", c.CommandPath(), unknown.GetSpecifiedName())
	case errors.As(err, &empty):
		err = fmt.Errorf("-%s needs a value", empty.GetSpecifiedName())
	case errors.As(err, &wrong):
		err = fmt.Errorf("-%s=%s: %s", wrong.GetFlag().Name, wrong.GetValue(), wrongValue(wrong))
	}
	return fmt.Errorf("%w\nTo list the flags: %s -help", err, c.CommandPath())
}

func wrongValue(wrong *pflag.InvalidValueError) string {
	cause := wrong.Unwrap()
	if errors.As(cause, new(*strconv.NumError)) {
		if wrong.GetFlag().Value.Type() == "bool" {
			return "it is true or false"
		}
		return "it is a whole number"
	}
	return cause.Error()
}
