package reconcile

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/runner/fleet"
)

// inventory is the agents as plans see them: calmer than the fleet. An agent that
// is away or drains keeps its place in agent sets for a grace, so that a broken
// link changes no plan; one that a suite declares counts as long as it belongs to
// the controller.
type inventory struct {
	cfg Config

	mu    sync.Mutex // guards known
	known map[netp.AgentID]acquaintance
}

// acquaintance is an agent that is or was there.
type acquaintance struct {
	Agent netp.Agent `json:"agent"`
	// away is since when it takes no sessions; zero while it does.
	away time.Time
}

func newInventory(cfg Config) *inventory {
	return &inventory{cfg: cfg, known: map[netp.AgentID]acquaintance{}}
}

// agentsNote is where the agents are kept: a controller that starts knows its own
// before they have come back.
const agentsNote = "agents"

func (i *inventory) load(ctx context.Context, s Store) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	var list []acquaintance
	if _, err := s.Note(ctx, agentsNote, &list); err != nil {
		return err
	}
	for _, a := range list {
		a.away = i.cfg.Now()
		i.known[a.Agent.Name] = a
	}
	return nil
}

func (i *inventory) save(ctx context.Context, s Store) error {
	i.mu.Lock()
	list := []acquaintance{}
	for _, id := range slices.Sorted(maps.Keys(i.known)) {
		list = append(list, i.known[id])
	}
	i.mu.Unlock()
	return s.SaveNote(ctx, agentsNote, list)
}

// observe takes in who is there.
func (i *inventory) observe(members []fleet.Member) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.cfg.Now()
	there := map[netp.AgentID]bool{}
	for _, m := range members {
		if m.Draining {
			continue
		}
		there[m.Agent.Name] = true
		i.known[m.Agent.Name] = acquaintance{Agent: m.Agent}
	}
	for id, a := range i.known {
		switch {
		case !i.cfg.Belongs(id):
			delete(i.known, id)
		case !there[id] && a.away.IsZero():
			a.away = now
			i.known[id] = a
		}
	}
}

// counts reports whether an agent is there, or away for no longer than the grace.
func (i *inventory) counts(a acquaintance) bool {
	return a.away.IsZero() || i.cfg.Now().Sub(a.away) < i.cfg.Grace
}

// of are the agents that count for a suite, by name.
func (i *inventory) of(s *lang.Suite) []netp.Agent {
	i.mu.Lock()
	defer i.mu.Unlock()
	var out []netp.Agent
	for id, a := range i.known {
		declared := slices.ContainsFunc(s.Agents, func(d lang.Agent) bool { return d.Name == id })
		if declared || i.counts(a) {
			out = append(out, a.Agent)
		}
	}
	slices.SortFunc(out, func(a, b netp.Agent) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return out
}

// essence identifies all of the inventory that a plan depends on. Clocks are not
// of it: they change warnings only.
func (i *inventory) essence() [sha256.Size]byte {
	i.mu.Lock()
	defer i.mu.Unlock()
	sum := sha256.New()
	out := json.NewEncoder(sum)
	for _, id := range slices.Sorted(maps.Keys(i.known)) {
		a := i.known[id]
		a.Agent.Clock = netp.ClockState{}
		if err := out.Encode([]any{a.Agent, i.counts(a)}); err != nil {
			panic("reconcile: an agent cannot be written as JSON: " + err.Error()) // it came as JSON
		}
	}
	return [sha256.Size]byte(sum.Sum(nil))
}

// look is how often the agents are looked at.
const look = time.Second

// follow plans all suites again when the agents have changed: once they have been
// quiet for a moment, and at the latest after Longest. planned is the essence at
// the beginning.
func (r *Reconciler) follow(ctx context.Context, planned [sha256.Size]byte) error {
	last, first, changed := planned, time.Time{}, time.Time{} // of a change not planned yet
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		r.agents.observe(r.cfg.Fleet.Members())
		now := r.cfg.Now()
		if e := r.agents.essence(); e != last {
			last, changed = e, now
			if first.IsZero() {
				first = now
			}
		}
		if first.IsZero() || now.Sub(changed) < r.cfg.Quiet && now.Sub(first) < r.cfg.Longest {
			continue
		}
		first = time.Time{}
		if last == planned {
			continue // they came back as they were
		}
		planned = last
		if err := r.agents.save(ctx, r.cfg.Store); err != nil && ctx.Err() == nil {
			r.cfg.Logger.Error("agents not kept", "error", err)
		}
		r.cfg.Logger.Info("agents have changed: suites are planned again")
		for _, w := range r.watchers {
			w.Refresh()
		}
	}
}
