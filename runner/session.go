package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/quantity"
)

// maxAttempts is how often a session is tried: a first time, and twice more when
// the cause of the failure is not the network under test.
const maxAttempts = 3

// retryPause is the least time between two attempts.
const retryPause = 200 * time.Millisecond

// session brings one session to its outcome.
func (x *execution) session(ctx context.Context, t *task) {
	o := outcome{task: t, attempts: t.attempts, result: t.last}
	for {
		if failure := x.awaitAgents(ctx, t, o.attempts+1); failure != nil {
			if o.attempts == 0 {
				o.result = x.without(t, 1, failure)
			}
			break
		}
		o.attempts++
		o.result = x.attempt(ctx, t, o.attempts)
		if f := o.result.Failure; f == nil || !f.Retryable() || o.attempts == maxAttempts || ctx.Err() != nil {
			break
		}
		x.cfg.Logger.Info("session is tried again", "session", t.session.Addr, "attempt", o.attempts+1, "reason", o.result.Failure.Detail)
		pause(ctx, retryPause)
	}
	x.ended <- o // the run reads until every session has ended
}

// roles are the parts of a session, and who plays them.
func (t *task) roles() map[netp.Role]netp.AgentID {
	out := map[netp.Role]netp.AgentID{netp.Initiator: t.session.Path.Source}
	if !t.session.Path.Endpoint {
		out[netp.Responder] = netp.AgentID(t.session.Path.Dest)
	}
	return out
}

// agents are those a session needs.
func (t *task) agents() []netp.AgentID {
	ids := []netp.AgentID{t.session.Path.Source}
	if !t.session.Path.Endpoint {
		ids = append(ids, netp.AgentID(t.session.Path.Dest))
	}
	return ids
}

// awaitAgents gives the agents of a session a lease's time to be there.
func (x *execution) awaitAgents(ctx context.Context, t *task, attempt int) *netp.Failure {
	ids := t.agents()
	switch {
	case ctx.Err() != nil:
		return x.unbegun(t)
	case len(x.absentees(ids)) == 0:
		return x.drained(ids)
	}
	x.state(t, Waiting, attempt)
	ctx, cancel := context.WithTimeoutCause(ctx, x.cfg.Lease, errAbsent)
	defer cancel()
	err := x.fleet.Await(ctx, ids...)
	switch {
	case err == nil:
		return x.drained(ids)
	case errors.Is(err, errAbsent):
		absent := x.absentees(ids)
		if len(absent) == 0 { // the last one came just now
			return x.drained(ids)
		}
		names := make([]string, len(absent))
		for i, id := range absent {
			names[i] = string(id)
		}
		return &netp.Failure{Kind: netp.FailureAgentLost, Agent: absent[0], Detail: fmt.Sprintf(
			"The session needs agents that were not connected within %s: %s. Start them, or look into their logs.", quantity.Duration(x.cfg.Lease), strings.Join(names, ", "))}
	}
	return x.unbegun(t)
}

// errAbsent is why a wait for agents ended.
var errAbsent = errors.New("they did not come")

// absentees are the agents that are not there.
func (x *execution) absentees(ids []netp.AgentID) []netp.AgentID {
	return slices.DeleteFunc(slices.Clone(ids), func(id netp.AgentID) bool {
		_, there := x.fleet.Find(id)
		return there
	})
}

// drained says that one of the agents gets no new sessions, nil when none is.
func (x *execution) drained(ids []netp.AgentID) *netp.Failure {
	for _, id := range ids {
		if m, ok := x.fleet.Find(id); ok && m.Agent.Drained {
			return &netp.Failure{Kind: netp.FailureMissed, Agent: id, Detail: fmt.Sprintf(
				"Agent %s is drained: it gets no new sessions. To let it work again: netp agents resume %s.", id, id)}
		}
	}
	return nil
}

// state tells where a session is.
func (x *execution) state(t *task, s State, attempt int) {
	x.events <- SessionState{Run: x.report.Run, Session: t.session, Test: t.test.Addr, State: s, Attempt: attempt, At: x.cfg.Now()}
}

// pause waits, or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
