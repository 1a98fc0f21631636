package enrol

import (
	"time"

	"github.com/netpupper/netp"
)

// Drain takes an agent out of planning until Resume: it finishes its sessions and
// gets no new ones, whatever restarts. It is safe to repeat.
func (a *Authority) Drain(id netp.AgentID) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.state.Agents[id] == nil {
		return noAgent(id)
	}
	if _, already := a.state.Drained[id]; already {
		return a.settle()
	}
	a.state.Drained[id] = a.cfg.Now().UTC().Truncate(time.Second)
	a.cfg.Logger.Info("agent drained", "agent", id)
	return a.save()
}

// Resume lets a drained agent work again. It is safe to repeat.
func (a *Authority) Resume(id netp.AgentID) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.state.Agents[id] == nil {
		return noAgent(id)
	}
	if _, drained := a.state.Drained[id]; !drained {
		return a.settle()
	}
	delete(a.state.Drained, id)
	a.cfg.Logger.Info("agent resumed", "agent", id)
	return a.save()
}

func noAgent(id netp.AgentID) error {
	return refuse(unknown, "No agent with the name %q belongs to this controller; netp agents lists those that do.", id)
}

// Drained reports whether an agent is drained. It never blocks for long.
func (a *Authority) Drained(id netp.AgentID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, drained := a.state.Drained[id]
	return drained
}
