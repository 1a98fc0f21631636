package runner

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/wire"
)

// An attempt that ended without its parts may not have ended at its agents: they
// carry out what they were ordered until the hard end, whether or not they hear
// their controller. It would disturb what is measured next on the same path, so it
// is stopped first, and where it cannot be its claims are kept.

// loose is until when the attempt may still be going on, where nobody could be told
// to stop; zero when it is over. One end that is told is enough: a sender stops
// within a second when its feedback ends.
func (tr *try) loose() time.Time {
	out := false
	for role, began := range tr.started {
		if !began {
			continue
		}
		m := tr.members[role]
		_, delivered := tr.got[role]
		if _, there := tr.fleet.Find(m.Agent.Name); delivered || there {
			return time.Time{}
		}
		out = true
	}
	if !out {
		return time.Time{}
	}
	return tr.order.NotAfter
}

// clear stops what may be left of the attempt before this one.
func (tr *try) clear(ctx context.Context) *netp.Failure {
	before := tr.task.ordered
	if before.Attempt == 0 || !tr.cfg.Now().Before(before.NotAfter) {
		return nil
	}
	before.Epoch = tr.cfg.Epoch
	ctx, cancel := context.WithTimeout(ctx, orderTimeout)
	defer cancel()
	for _, id := range tr.task.agents() {
		m, ok := tr.fleet.Find(id)
		if !ok {
			return lost(id, "is not connected")
		}
		if _, err := tr.link.Order(ctx, addressed(before, wire.Cancel, m)); err != nil {
			return lost(id, fmt.Sprintf("could not be told to stop the attempt before this one (%v)", err))
		}
	}
	tr.task.loose = time.Time{}
	return nil
}

// queryPause is the time between two questions that were not answered.
const queryPause = time.Second

// query asks the agents of an attempt that an earlier controller began whether they
// still owe their parts, as soon as they are there, and again when they were started
// anew. It tells nothing who does not. The caller ends ctx and waits.
func (tr *try) query(ctx context.Context, nothing chan<- netp.Role) *sync.WaitGroup {
	asking := new(sync.WaitGroup)
	for role, id := range tr.task.roles() {
		asking.Go(func() {
			for tr.owes(ctx, id) {
			}
			if ctx.Err() == nil {
				nothing <- role // has room
			}
		})
	}
	return asking
}

// owes returns false when an agent owes nothing any more, and when ctx is done;
// true when it is worth asking again.
func (tr *try) owes(ctx context.Context, id netp.AgentID) bool {
	if tr.fleet.Await(ctx, id) != nil {
		return false
	}
	m, ok := tr.fleet.Find(id)
	if !ok || !tr.cfg.Now().Before(tr.order.NotAfter) {
		pause(ctx, queryPause)
		return ctx.Err() == nil
	}
	limited, cancel := context.WithTimeout(ctx, orderTimeout)
	defer cancel()
	reply, err := tr.link.Order(limited, addressed(tr.order, wire.Query, m))
	switch {
	case err == nil && reply.Accepted && reply.Nothing:
		return false
	case err == nil && reply.Accepted:
		select {
		case <-m.Gone:
		case <-ctx.Done():
		}
	default:
		pause(ctx, queryPause)
	}
	return ctx.Err() == nil
}
