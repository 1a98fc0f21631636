package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netpupper/netp/hold"
)

// A lab that is up has a file here, with the process that keeps it. The process holds a lock on the file, and the system takes
// the lock away when the process ends, however it ends: a file without a lock is of a lab that crashed.
const labDirectory = "/run/netp-lab"

func labFile(name string) string { return filepath.Join(labDirectory, name) }

// lockLab opens the file of a lab and tries to lock it.
func lockLab(name string) (file *os.File, free bool, err error) {
	if file, err = os.OpenFile(labFile(name), os.O_RDWR, 0); err != nil {
		return nil, false, err
	}
	err = hold.Lock(file)
	if err != nil && !errors.Is(err, hold.ErrHeld) {
		return nil, false, errors.Join(fmt.Errorf("lock %s: %w", file.Name(), err), file.Close())
	}
	return file, err == nil, nil
}

// holdLab makes this process the one that keeps a lab. Leftovers of one that crashed are swept first.
func holdLab(name string) (release func(), err error) {
	if err := os.MkdirAll(labDirectory, 0o755); err != nil {
		return nil, err
	}
	made, err := os.OpenFile(labFile(name), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	made.Close()
	file, free, err := lockLab(name)
	if err != nil {
		return nil, err
	}
	if !free {
		file.Close()
		return nil, errLabUp(name)
	}
	if err := sweepLab(name); err != nil {
		file.Close()
		return nil, err
	}
	if err := errors.Join(file.Truncate(0), writeAll(file, strconv.Itoa(os.Getpid())+"\n")); err != nil {
		file.Close()
		return nil, err
	}
	return func() { os.Remove(file.Name()); file.Close() }, nil
}

func writeAll(file *os.File, text string) error {
	_, err := file.WriteAt([]byte(text), 0)
	return err
}

func errLabUp(name string) error {
	return fmt.Errorf("lab %s is up already\nTake it down first: netp lab down %s", name, name)
}

// checkNotUp says so when a lab is up.
func checkNotUp(name string) error {
	file, free, err := lockLab(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	if !free {
		return errLabUp(name)
	}
	return nil
}

// labDown ends the keeper of a lab, and sweeps what a crash left.
func (a *app) labDown(ctx context.Context, name string) error {
	if strings.ContainsAny(name, "/ ") || name == "" {
		return fmt.Errorf("%q is no name of a lab", name)
	}
	file, free, err := lockLab(name)
	if errors.Is(err, fs.ErrNotExist) {
		left, _ := labLeftovers(name)
		if len(left) == 0 {
			return fmt.Errorf("there is no lab %s\nThose that are up: %s", name, labsUp())
		}
		return a.swept(name)
	}
	if err != nil {
		return err
	}
	defer file.Close()
	if free {
		return errors.Join(a.swept(name), os.Remove(labFile(name)))
	}
	text := make([]byte, 20)
	n, _ := file.ReadAt(text, 0)
	keeper, err := strconv.Atoi(strings.TrimSpace(string(text[:n])))
	if err != nil {
		return fmt.Errorf("%s names no process: %w", file.Name(), err)
	}
	if err := syscall.Kill(keeper, syscall.SIGTERM); err != nil {
		return fmt.Errorf("end the keeper of lab %s, process %d: %w", name, keeper, err)
	}
	if err := awaitUnlocked(ctx, file); err != nil {
		return fmt.Errorf("the keeper of lab %s, process %d, does not end: %w", name, keeper, err)
	}
	if err := sweepLab(name); err != nil {
		return err
	}
	a.out().Printf("Lab %s is down.\n", name)
	return nil
}

func (a *app) swept(name string) error {
	if err := sweepLab(name); err != nil {
		return err
	}
	a.out().Printf("Lab %s was not up any more; what it left is removed.\n", name)
	return nil
}

// awaitUnlocked waits for the keeper's end.
func awaitUnlocked(ctx context.Context, file *os.File) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for hold.Lock(file) != nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// labLeftovers are the named namespaces of a lab.
func labLeftovers(name string) ([]string, error) {
	return filepath.Glob("/run/netns/" + labPrefix(name) + "-*")
}

// sweepLab removes them. A namespace lives on while a program is in it.
func sweepLab(name string) error {
	left, err := labLeftovers(name)
	for _, path := range left {
		unix.Unmount(path, unix.MNT_DETACH) // it is not mounted when the crash came between the two
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// labsUp lists the labs whose keepers live.
func labsUp() string {
	files, _ := filepath.Glob(labFile("*"))
	var up []string
	for _, f := range files {
		name := filepath.Base(f)
		if checkNotUp(name) != nil {
			up = append(up, name)
		}
	}
	if len(up) == 0 {
		return "none"
	}
	return strings.Join(up, ", ")
}
