package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/netpupper/netp/lang/labfile"
)

// labNamespaces begins the names of the network namespaces of all labs.
const labNamespaces = "netp-lab-"

// withoutLab adds to the error of an agent in a network namespace that a lab is to make
// that it is not there.
func withoutLab(err error, netns string) error {
	if errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(netns, labNamespaces) {
		return fmt.Errorf("%w\nThat is a namespace of a network lab which is not up. Build it first: netp lab up FILE.hcl", err)
	}
	return err
}

// labCommand is the user's side of the network lab. What does it is in lab_linux.go.
func (a *app) labCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "lab",
		Short: "Build a wide-area network with known faults on this host, to rehearse a suite in it",
		Long: "Build the network that a file declares (sites, carriers, and what is wrong with their lines)\n" +
			"out of network namespaces on this host. Agents of a local run take part in it by netns.\n" +
			"Linux, as root; exec also where users may make user namespaces.",
	}
	up := &cobra.Command{
		Use: "up FILE.hcl", Short: "Build a lab, which stays until lab down", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			l, err := a.readLab(args[0])
			if err != nil {
				return err
			}
			return a.labUp(c.Context(), args[0], l)
		},
	}
	down := &cobra.Command{
		Use: "down FILE.hcl|NAME", Short: "Take a lab down, also what is left of one that crashed", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			name, err := a.labName(args[0])
			if err != nil {
				return err
			}
			return a.labDown(c.Context(), name)
		},
	}
	exec := &cobra.Command{
		Use: "exec FILE.hcl -- COMMAND [ARGUMENT]...", Short: "Run a command with the lab up, and exit as it does", Args: cobra.MinimumNArgs(2),
		Example: "  netp lab exec wan.hcl -- netp apply suite",
		RunE: func(c *cobra.Command, args []string) error {
			l, err := a.readLab(args[0])
			if err != nil {
				return err
			}
			return a.labExec(c.Context(), l, args[1:])
		},
	}
	keep := &cobra.Command{
		Use: "keep FILE.hcl", Hidden: true, Args: cobra.ExactArgs(1), // what lab up leaves behind
		RunE: func(c *cobra.Command, args []string) error {
			l, err := a.readLab(args[0])
			if err != nil {
				return err
			}
			return a.labKeep(c.Context(), l)
		},
	}
	c.AddCommand(up, down, exec, keep)
	return c
}

// readLab reads a lab's file and shows what is wrong with it.
func (a *app) readLab(file string) (labfile.Lab, error) {
	l, found := labfile.Read(file, a.env.lookup)
	a.err().Diagnostics(found, false)
	if found.HasErrors() {
		a.code = exitError
		return l, errShown
	}
	return l, nil
}

// labName is the name of the lab that a file or a word stands for. A file may be faulty by now: its lab must still come down.
func (a *app) labName(arg string) (string, error) {
	if filepath.Ext(arg) != ".hcl" {
		return arg, nil
	}
	if _, err := os.Stat(arg); err != nil {
		return "", fmt.Errorf("%w\nGive the file of the lab, or its name", err)
	}
	l, _ := labfile.Read(arg, a.env.lookup)
	return l.Name, nil
}
