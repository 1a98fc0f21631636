package runner

import (
	"context"
	"maps"
	"slices"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/plan/schedule"
)

// allSessions is claimed by every session, so that their number can be bounded.
const allSessions schedule.Resource = "run sessions"

// capacities are those that the run's plan declares. How many sessions an agent
// runs at a time is the agent's to say as soon as it is there.
func (x *execution) capacities() map[schedule.Resource]float64 {
	out := maps.Clone(x.plan.Capacities)
	for _, m := range x.fleet.Members() {
		delete(out, plan.AgentSessions(m.Agent.Name))
	}
	return out
}

// bound declares what bounds the number of sessions at a time: the runner's own
// configuration, and the limits of the agents that are there. r.mu is held, so that
// an older look at the fleet does not overwrite a newer one.
func (r *Runner) bound() {
	out := make(map[schedule.Resource]float64)
	if r.cfg.Parallelism > 0 {
		out[allSessions] = float64(r.cfg.Parallelism)
	}
	for _, m := range r.fleet.Members() {
		if n := m.Agent.Limits.Sessions; n > 0 {
			out[plan.AgentSessions(m.Agent.Name)] = float64(n)
		}
	}
	r.queue.declare(r.queue.bounds, out)
}

// followFleet keeps the bounds up to date until ctx is done.
func (r *Runner) followFleet(ctx context.Context) error {
	for {
		changed := r.fleet.Changed()
		r.mu.Lock()
		r.bound()
		r.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// claims are the plan's, and one of each bound on the number of sessions.
func claims(s plan.Session) []schedule.Claim {
	out := slices.Clone(s.Claims)
	bounds := []schedule.Resource{allSessions, plan.AgentSessions(s.Path.Source)}
	if !s.Path.Endpoint {
		bounds = append(bounds, plan.AgentSessions(netp.AgentID(s.Path.Dest)))
	}
	for i, b := range bounds {
		counted := i > 0 && slices.ContainsFunc(out, func(c schedule.Claim) bool { return c.Resource == b })
		if !counted { // by the plan, which knew the agent's limit
			out = append(out, schedule.Claim{Resource: b, Rate: 1})
		}
	}
	return out
}

// waiterFor makes what stands in the queue for a session of a run.
func waiterFor(c *claimant, run string, t *task) *waiter {
	return c.waiter(t.index, t.session.Addr, t.scheduled, schedule.Item{
		ID: run + "/" + t.session.Addr, Duration: t.planned.Slot, Claims: claims(t.planned),
	})
}

// claimantName is a run's for those who were in its way.
func claimantName(suite, run string) string { return "suite " + suite + ", run " + run }
