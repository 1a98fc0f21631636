package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

const (
	// remembered is how many records at the end of the file are recognised when they
	// come again; netp sends at most the last batch again.
	remembered = 4096
	// tailBytes bounds how much of the file is read to find them.
	tailBytes = 64 << 20
)

// file is an open file of whole lines, locked against other writers. Everything in it
// up to size is on the disk.
type file struct {
	root   *os.Root // nothing outside it is touched, whatever links there are
	name   string
	f      *os.File
	size   int64
	recent recent
}

// open opens or creates a file, cuts off a line that a crash left half written, and
// learns which records the end holds.
func open(dir, name string) (*file, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the directory: %w", err)
	}
	o := &file{root: root, name: name}
	if err := o.begin(); err != nil {
		_ = o.close()
		return nil, err
	}
	return o, nil
}

func (o *file) begin() error {
	if err := o.root.MkdirAll(filepath.Dir(o.name), 0o755); err != nil {
		return err
	}
	f, err := o.root.OpenFile(o.name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	o.f = f
	if err := lock(f); err != nil {
		return fmt.Errorf("lock %s, another sink writes to it: %w", o.name, err)
	}
	if err := o.repair(); err != nil {
		return err
	}
	return o.syncDir()
}

// repair cuts off an unfinished last line: it was never acknowledged and comes again.
func (o *file) repair() error {
	info, err := o.f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no regular file", o.name)
	}
	start := max(0, info.Size()-tailBytes)
	tail := make([]byte, info.Size()-start)
	if _, err := o.f.ReadAt(tail, start); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	whole := bytes.LastIndexByte(tail, '\n') + 1
	if rest := tail[whole:]; len(rest) > 0 {
		if rest[0] != '{' || whole == 0 && start > 0 {
			return fmt.Errorf("%s does not end in a line of JSON: it is another program's file, and is left alone", o.name)
		}
		if err := o.f.Truncate(start + int64(whole)); err != nil {
			return err
		}
	}
	o.size = start + int64(whole)
	o.learn(tail[:whole])
	return nil
}

// learn remembers the records of the last lines, and of the renamed file before it
// when this one has just begun.
func (o *file) learn(tail []byte) {
	if len(tail) < tailBytes/64 {
		if before, err := o.root.Open(o.name + ".1"); err == nil {
			if info, err := before.Stat(); err == nil {
				from := max(0, info.Size()-tailBytes/64)
				o.remember(bufio.NewReader(io.NewSectionReader(before, from, info.Size()-from)))
			}
			_ = before.Close()
		}
	}
	o.remember(bufio.NewReader(bytes.NewReader(tail)))
}

func (o *file) remember(lines *bufio.Reader) {
	for {
		line, err := lines.ReadBytes('\n')
		var record struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(line, &record) == nil && record.ID != "" {
			o.recent.add(record.ID)
		}
		if err != nil {
			return
		}
	}
}

// append writes whole lines and syncs; after an error the file is as before.
func (o *file) append(lines []byte, ids []string) error {
	if len(lines) == 0 {
		return nil
	}
	_, err := o.f.Write(lines)
	if err == nil {
		err = o.f.Sync()
	}
	if err != nil {
		return errors.Join(err, o.f.Truncate(o.size))
	}
	o.size += int64(len(lines))
	for _, id := range ids {
		o.recent.add(id)
	}
	return nil
}

// rotate renames the file to NAME.1, older ones one number up, and begins a new one.
func (o *file) rotate(keep int) error {
	numbered := func(n int) string { return o.name + "." + strconv.Itoa(n) }
	for n := keep - 1; n >= 1; n-- {
		if err := o.root.Rename(numbered(n), numbered(n+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := o.root.Rename(o.name, numbered(1)); err != nil {
		return err
	}
	if err := o.f.Close(); err != nil {
		return err
	}
	o.f = nil
	return o.begin()
}

// moved reports whether the name stands for another file by now, or for none: a
// program like logrotate has been here.
func (o *file) moved() bool {
	named, err := o.root.Stat(o.name)
	ours, err2 := o.f.Stat()
	return err != nil || err2 != nil || !os.SameFile(named, ours)
}

// syncDir makes new and renamed names durable, where the system can.
func (o *file) syncDir() error {
	dir, err := o.root.Open(filepath.Dir(o.name))
	if err != nil {
		return err
	}
	defer dir.Close()
	return syncDirectory(dir)
}

func (o *file) close() error {
	var err error
	if o.f != nil {
		err = o.f.Close()
	}
	return errors.Join(err, o.root.Close())
}

// recent is the set of the last ids added. The zero value is ready.
type recent struct {
	ring []string
	next int
	set  map[string]bool
}

func (r *recent) has(id string) bool { return r.set[id] }

func (r *recent) add(id string) {
	if r.set == nil {
		r.set = map[string]bool{}
	}
	if r.set[id] {
		return
	}
	if len(r.ring) < remembered {
		r.ring = append(r.ring, id)
	} else {
		delete(r.set, r.ring[r.next])
		r.ring[r.next] = id
		r.next = (r.next + 1) % remembered
	}
	r.set[id] = true
}
