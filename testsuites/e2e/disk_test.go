package e2e

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/runner/store"
)

// disk is the store of a controller that can be killed: from then on it takes
// nothing more, and who wants to write waits for his burial.
type disk struct {
	*store.Store
	// touched is told what is about to be written, "records", and that it was,
	// "records done". It may call die.
	touched atomic.Pointer[func(what string)]

	writing sync.RWMutex // held by writers; by die for as long as it takes
	dead    bool         // guarded by writing
	struck  chan struct{}
	buried  chan struct{}
	bury    func()
}

var errDead = errors.New("the controller was killed")

func newDisk(s *store.Store) *disk {
	d := &disk{Store: s, struck: make(chan struct{}), buried: make(chan struct{})}
	d.bury = sync.OnceFunc(func() { close(d.buried) })
	return d
}

// die ends the life of the controller: nothing is written any more.
func (d *disk) die() {
	d.writing.Lock()
	defer d.writing.Unlock()
	if !d.dead {
		d.dead = true
		close(d.struck)
	}
}

// revive lets a disk that was dead be written again.
func (d *disk) revive() {
	d.writing.Lock()
	defer d.writing.Unlock()
	d.dead, d.struck = false, make(chan struct{})
}

func (d *disk) write(what string, write func() error) error {
	d.touch(what)
	err := d.alive(write)
	if err == nil {
		d.touch(what + " done")
		err = d.alive(func() error { return nil })
	}
	return err
}

func (d *disk) touch(what string) {
	if tell := d.touched.Load(); tell != nil {
		(*tell)(what)
	}
}

// alive writes, unless the controller is dead: then it is held here until the end.
func (d *disk) alive(write func() error) error {
	d.writing.RLock()
	if !d.dead {
		defer d.writing.RUnlock()
		return write()
	}
	d.writing.RUnlock()
	<-d.buried
	return errDead
}

func (d *disk) BeginRun(ctx context.Context, r store.Run, p *plan.Plan) error {
	return d.write("begin", func() error { return d.Store.BeginRun(ctx, r, p) })
}

func (d *disk) SaveRun(ctx context.Context, r store.Run) error {
	return d.write("run", func() error { return d.Store.SaveRun(ctx, r) })
}

func (d *disk) SaveAttempts(ctx context.Context, a []store.Attempt) error {
	return d.write("attempts", func() error { return d.Store.SaveAttempts(ctx, a) })
}

func (d *disk) SaveParts(ctx context.Context, p []netp.Result) error {
	return d.write("parts", func() error { return d.Store.SaveParts(ctx, p) })
}

func (d *disk) SaveRecords(ctx context.Context, r []netp.Record) error {
	return d.write("records", func() error { return d.Store.SaveRecords(ctx, r) })
}
