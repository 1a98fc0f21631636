package runner

import (
	"context"
	"fmt"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/wire"
	"github.com/netpupper/netp/runner/bus"
	"github.com/netpupper/netp/runner/store"
)

// tryKey names a try at a session whose parts are waited for.
type tryKey struct {
	run     string
	session string
	attempt int
}

// tryOf names a try within its run.
type tryOf struct {
	session string
	attempt int
}

// route is where the parts of a try go.
type route struct {
	parts chan netp.Result   // room for both
	seen  map[netp.Role]bool // guarded by Runner.mu
}

// take stores the parts of a batch, confirms them to their agents and hands them
// to the sessions that wait. It is an error only when the store cannot: the
// messages stay on the bus then.
func (r *Runner) take(ctx context.Context, batch []bus.Message) error {
	var parts []netp.Result
	for _, m := range batch {
		p, err := r.read(m)
		if err != nil { // it would be no better the next time
			r.cfg.Logger.Warn("result rejected", "subject", m.Subject, "error", err)
			continue
		}
		parts = append(parts, p)
	}
	if err := r.cfg.Store.SaveParts(ctx, parts); err != nil {
		return err
	}
	confirmed := make(map[netp.AgentID][]wire.PartKey)
	for _, p := range parts {
		confirmed[p.Agent] = append(confirmed[p.Agent], wire.KeyOf(p))
	}
	for id, keys := range confirmed {
		if err := r.link.Confirm(id, keys); err != nil {
			r.cfg.Logger.Warn("results are not confirmed and will come again", "agent", id, "error", err)
		}
	}
	for _, p := range parts { // last: with it a run may end, and everything with the run
		r.deliver(p)
	}
	return nil
}

// read decodes a part and checks that it comes from the agent it says, and, until
// its run has ended, that this agent was given this part in this attempt, by this
// controller or the one before. After the run nothing depends on it any more.
func (r *Runner) read(m bus.Message) (netp.Result, error) {
	id, err := wire.PartSender(m.Subject)
	if err != nil {
		return netp.Result{}, err
	}
	p, err := wire.DecodePart(m.Data)
	if err != nil {
		return netp.Result{}, err
	}
	if p.Agent != id {
		return netp.Result{}, fmt.Errorf("agent %q sent a result of agent %q", id, p.Agent)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if tries, ok := r.begunTries[p.Run]; ok && tries[tryOf{p.Session, p.Attempt}][p.Part] != id {
		return netp.Result{}, fmt.Errorf("agent %q is not the %s in attempt %d at session %s", id, p.Part, p.Attempt, p.Session)
	}
	return p, nil
}

// deliver hands a part to its session, the first time it comes.
func (r *Runner) deliver(p netp.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	to := r.sessions[tryKey{p.Run, p.Session, p.Attempt}]
	if to == nil || to.seen[p.Part] {
		return
	}
	to.seen[p.Part] = true
	to.parts <- p // has room: one for each part
}

// expect opens the route of a try; close ends it.
func (r *Runner) expect(a store.Attempt) (parts <-chan netp.Result, close func()) {
	key := tryKey{a.Run, a.Session, a.Attempt}
	to := &route{parts: make(chan netp.Result, len(a.Agents)), seen: make(map[netp.Role]bool)}
	r.mu.Lock()
	r.sessions[key] = to
	r.begunTries[a.Run][tryOf{a.Session, a.Attempt}] = a.Agents
	r.mu.Unlock()
	return to.parts, func() {
		r.mu.Lock()
		delete(r.sessions, key)
		r.mu.Unlock()
	}
}
