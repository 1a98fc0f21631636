package main

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"syscall"

	"github.com/netpupper/netp/durable"
)

// written is standard output, and what went wrong with it: those who print need not look. It may be used by several goroutines.
type written struct {
	to   io.Writer
	mu   sync.Mutex // guards lost
	lost error
}

// Write keeps the first error, and gives it again for those that follow. A reader that has gone wants no more: that is none.
func (w *written) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	switch {
	case err == nil:
		return n, nil
	case readerGone(err):
		return len(p), nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lost == nil {
		w.lost = err
	}
	return n, w.lost
}

// outcome is what a command comes to that ended with err: output that is lost is an error, and is told in one way.
func (w *written) outcome(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lost == nil || err != nil && !errors.Is(err, w.lost) {
		return err
	}
	return fmt.Errorf("cannot write to standard output: %w\nWhat it should hold is lost in part or whole. Make room, or send it elsewhere.", durable.Reason(w.lost))
}

// readerGone says whether an error of writing to a pipe is that nobody reads it any more.
func readerGone(err error) bool {
	const brokenPipe, noData = syscall.Errno(109), syscall.Errno(232) // on Windows
	return errors.Is(err, syscall.EPIPE) || runtime.GOOS == "windows" && (errors.Is(err, brokenPipe) || errors.Is(err, noData))
}
