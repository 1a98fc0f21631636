//go:build linux

package emulator

import (
	"encoding/json"
	"fmt"

	"golang.org/x/sys/unix"
)

// Owner and emulator speak JSON over a pair of sockets that keeps messages whole; descriptors travel beside them.

// request is what the owner asks for.
type request struct {
	Do        string
	Line      int
	Direction int
	Impair    Impair
	Limit     int    // of records
	Path      string // to unmount
}

// Requests.
const (
	doAdd    = "add"    // a line; two descriptors
	doRemove = "remove" // a line
	doSet    = "set"    // what a direction does
	doCount  = "count"  // counters and lateness
	doReset  = "reset"  // counters and lateness to zero
	doRecord = "record" // records from now on
	doTake   = "take"   // the records so far, in a file; a descriptor comes back
	doGuard  = "guard"  // kill this process when the owner is gone; its descriptor
	doSweep  = "sweep"  // unmount and remove this path when the owner is gone
)

// answer is what the emulator says.
type answer struct {
	Error    string    `json:",omitempty"`
	Counters *Counters `json:",omitempty"`
	Lateness *Lateness `json:",omitempty"`
	RealTime bool      `json:",omitempty"`
}

// longest is the longest message.
const longest = 1 << 16

// write sends a message with descriptors.
func write(socket int, message any, fds ...int) error {
	text, err := json.Marshal(message)
	if err != nil {
		return err
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	for {
		if err := unix.Sendmsg(socket, text, rights, nil, 0); err != unix.EINTR {
			return err
		}
	}
}

// read receives a message and its descriptors. A length of 0 is the end.
func read(socket int, message any) (fds []int, length int, err error) {
	text, rights := make([]byte, longest), make([]byte, unix.CmsgSpace(4*4))
	var n, more, flags int
	for {
		if n, more, flags, _, err = unix.Recvmsg(socket, text, rights, unix.MSG_CMSG_CLOEXEC); err != unix.EINTR {
			break
		}
	}
	if err != nil || n == 0 {
		return nil, 0, err
	}
	if flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		return nil, n, fmt.Errorf("a message of more than %d bytes", longest)
	}
	messages, err := unix.ParseSocketControlMessage(rights[:more])
	if err != nil {
		return nil, n, err
	}
	for i := range messages {
		some, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return fds, n, err
		}
		fds = append(fds, some...)
	}
	return fds, n, json.Unmarshal(text[:n], message)
}
