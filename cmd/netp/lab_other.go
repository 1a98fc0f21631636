//go:build !linux

package main

import (
	"context"
	"fmt"
	"runtime"

	"github.com/netpupper/netp/lang/labfile"
)

// beEmulator is for Linux.
func beEmulator() (code int, was bool) { return 0, false }

// errNoLab says why there are no labs here.
func errNoLab() error {
	return fmt.Errorf("a network lab is made of Linux network namespaces, and this is %s", runtime.GOOS)
}

func (a *app) labUp(context.Context, string, labfile.Lab) error     { return errNoLab() }
func (a *app) labDown(context.Context, string) error                { return errNoLab() }
func (a *app) labExec(context.Context, labfile.Lab, []string) error { return errNoLab() }
func (a *app) labKeep(context.Context, labfile.Lab) error           { return errNoLab() }
