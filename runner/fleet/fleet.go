// Package fleet knows which agents are there: it grants leases to those that
// announce themselves, ends the lease of those that fall silent, and lets one
// name be used by one agent only. It gives no orders. Start with Fleet.Welcome.
package fleet

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/wire"
)

// Presence keeps leases where other controllers see them. Its methods may block
// for a round trip on the bus and are called concurrently.
type Presence interface {
	Announce(ctx context.Context, key string, value []byte) error
	Withdraw(ctx context.Context, key string) error
	// Watch calls seen for every presence, one at a time, until ctx is done; a nil
	// value means that it ended.
	Watch(ctx context.Context, seen func(key string, value []byte)) error
}

// Config is what a fleet needs.
type Config struct {
	Presence Presence
	// Epoch is the controller's; Lease is how long an agent stays without a word.
	Epoch uint64
	Lease time.Duration
	// Drained says whether an agent gets no new sessions; nil for none. It is called
	// often and must not block.
	Drained func(netp.AgentID) bool
	// From is the address that an agent's connection comes from, false when it is not
	// known; nil for none. It is called often and must not block.
	From func(netp.AgentID) (netip.Addr, bool)
	// Now is the clock orders are dated by.
	Now    func() time.Time
	Logger *slog.Logger
}

// Member is an agent that is there.
type Member struct {
	Agent        netp.Agent
	Installation string
	Incarnation  string
	Version      int // of the protocol
	Running      int // sessions in progress, as the agent says
	Draining     bool
	Health       []netp.Check // of its host, as the agent says
	Seen         time.Time    // the last word, by the controller's clock
	// Gone is closed when this start of the agent is no longer there: its lease ran
	// out, it said goodbye, or it was started again.
	Gone <-chan struct{}
}

// Fleet is the agents that are there. It may be used concurrently.
type Fleet struct {
	cfg Config

	mu      sync.Mutex // guards what follows
	members map[netp.AgentID]*member
	away    map[netp.AgentID]Member // those that were there, as they were last
	changed chan struct{}           // closed and replaced when an agent comes or goes
}

type member struct {
	Member
	gone  chan struct{}
	until time.Time // of the lease; with a monotonic reading
	epoch uint64    // of the controller that granted it
}

// New gives a fleet without agents. Run must run for leases to end.
func New(cfg Config) *Fleet {
	return &Fleet{cfg: cfg, members: make(map[netp.AgentID]*member), away: make(map[netp.AgentID]Member), changed: make(chan struct{})}
}

// Run ends leases that ran out, and learns from other controllers, until ctx is done.
func (f *Fleet) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	watched := make(chan error, 1)
	go func() { watched <- f.cfg.Presence.Watch(ctx, f.hear) }()
	sweep := time.NewTicker(max(f.cfg.Lease/20, 10*time.Millisecond))
	defer sweep.Stop()
	for {
		select {
		case err := <-watched:
			return err
		case <-sweep.C:
			f.sweep(time.Now())
		}
	}
}

// grant is a lease as controllers tell each other.
type grant struct {
	Epoch   uint64     `json:"epoch"` // of the controller that granted it
	Version int        `json:"version"`
	Hello   wire.Hello `json:"hello"`
}

// presenceTimeout bounds a write to the presence bucket. It is for others to read:
// when it fails, this controller still knows.
const presenceTimeout = time.Second

// Welcome answers a hello: it grants or renews the lease, or refuses.
func (f *Fleet) Welcome(h wire.Hello) wire.Welcome {
	w := wire.Welcome{Epoch: f.cfg.Epoch, Lease: f.cfg.Lease, Time: f.cfg.Now()}
	version, err := wire.Negotiate(h.MinVersion, h.MaxVersion)
	if err == nil {
		err = f.admit(h, version)
	}
	if err != nil {
		f.cfg.Logger.Warn("agent refused", "agent", h.Agent.Name, "reason", err)
		w.Refused = err.Error()
		return w
	}
	w.Version = version
	ctx, cancel := context.WithTimeout(context.Background(), presenceTimeout)
	defer cancel()
	if h.Leaving {
		f.withdraw(h.Agent.Name)
	} else if data, encodeErr := wire.Encode(grant{Epoch: f.cfg.Epoch, Version: version, Hello: h}); encodeErr != nil {
		err = encodeErr
	} else {
		err = f.cfg.Presence.Announce(ctx, wire.Token(h.Agent.Name), data)
	}
	if err != nil {
		f.cfg.Logger.Warn("presence is known to this controller only", "agent", h.Agent.Name, "error", err)
	}
	w.Time = f.cfg.Now()
	return w
}

// Expel takes out an agent that belongs no longer: at once, and not when its lease ends.
func (f *Fleet) Expel(id netp.AgentID) {
	f.mu.Lock()
	if m := f.members[id]; m != nil {
		f.remove(id, m)
	}
	delete(f.away, id)
	f.mu.Unlock()
	f.withdraw(id)
}

// withdraw tells other controllers that an agent is gone.
func (f *Fleet) withdraw(id netp.AgentID) {
	ctx, cancel := context.WithTimeout(context.Background(), presenceTimeout)
	defer cancel()
	if err := f.cfg.Presence.Withdraw(ctx, wire.Token(id)); err != nil {
		f.cfg.Logger.Warn("other controllers do not know that an agent is gone", "agent", id, "error", err)
	}
}

// admit takes the agent in, unless another one uses its name.
func (f *Fleet) admit(h wire.Hello, version int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.members[h.Agent.Name]
	switch {
	case m != nil && m.Installation != h.Installation && !h.Leaving:
		return fmt.Errorf("another agent with the name %q is there (data port %s, last heard %s); give this one another name, or stop that one",
			h.Agent.Name, m.Agent.Address, m.Seen.UTC().Format(time.RFC3339))
	case h.Leaving:
		if m != nil && m.Incarnation == h.Incarnation {
			f.remove(h.Agent.Name, m)
		}
		return nil
	}
	f.take(grant{f.cfg.Epoch, version, h})
	return nil
}

// take notes a lease that was granted. f.mu is held.
func (f *Fleet) take(g grant) {
	h := g.Hello
	m := f.members[h.Agent.Name]
	if m != nil && m.Incarnation != h.Incarnation {
		f.cfg.Logger.Info("agent was started again", "agent", h.Agent.Name)
		f.remove(h.Agent.Name, m)
		m = nil
	}
	if m == nil {
		m = &member{gone: make(chan struct{})}
		m.Gone = m.gone
		f.members[h.Agent.Name] = m
		delete(f.away, h.Agent.Name)
		defer f.announceChange()
	}
	m.Agent, m.Installation, m.Incarnation = h.Agent, h.Installation, h.Incarnation
	m.Version, m.Running, m.Draining, m.Health = g.Version, h.Running, h.Draining, h.Health
	m.epoch = g.Epoch
	m.Seen, m.until = f.cfg.Now(), time.Now().Add(f.cfg.Lease)
}

// remove takes an agent out. f.mu is held.
func (f *Fleet) remove(id netp.AgentID, m *member) {
	delete(f.members, id)
	f.away[id] = m.Member
	close(m.gone)
	f.announceChange()
}

// announceChange wakes those who wait. f.mu is held.
func (f *Fleet) announceChange() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// hear learns from the presence bucket what other controllers granted. What this
// one granted itself comes back, too, and late: it is news to nobody.
func (f *Fleet) hear(key string, value []byte) {
	id, err := wire.ParseToken(key)
	var g grant
	if err == nil && value != nil {
		err = wire.Decode(value, &g)
	}
	if err == nil && value != nil && g.Hello.Agent.Name != id {
		err = fmt.Errorf("it holds agent %q", g.Hello.Agent.Name)
	}
	if err != nil {
		f.cfg.Logger.Warn("presence bucket", "key", key, "error", err)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.members[id]
	switch {
	case value == nil && m != nil && m.epoch != f.cfg.Epoch:
		f.remove(id, m)
	case value != nil && g.Epoch != f.cfg.Epoch && (m == nil || m.epoch != f.cfg.Epoch):
		f.take(g)
	}
}

func (f *Fleet) sweep(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, m := range f.members {
		if now.After(m.until) {
			f.cfg.Logger.Warn("agent lost", "agent", id, "last heard", m.Seen)
			f.remove(id, m)
		}
	}
}

// Find gives an agent that is there.
func (f *Fleet) Find(id netp.AgentID) (Member, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.members[id]
	if m == nil {
		return Member{}, false
	}
	return f.seen(m), true
}

// seen is a member as others see it now.
func (f *Fleet) seen(m *member) Member {
	out := m.Member
	out.Agent.Drained = f.cfg.Drained != nil && f.cfg.Drained(out.Agent.Name)
	if f.cfg.From != nil && !out.Agent.NAT {
		from, known := f.cfg.From(out.Agent.Name)
		out.Agent.NAT = known && translated(out.Agent, from)
	}
	return out
}

// Members lists the agents that are there, by name.
func (f *Fleet) Members() []Member {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]Member, 0, len(f.members))
	for _, m := range f.members {
		out = append(out, f.seen(m))
	}
	slices.SortFunc(out, func(a, b Member) int { return strings.Compare(string(a.Agent.Name), string(b.Agent.Name)) })
	return out
}

// Away lists, as they were last, the agents that were there since this controller began and are not now, in no order.
func (f *Fleet) Away() []Member {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Values(f.away))
}

// Agents lists the agents that are there as a plan wants its inventory.
func (f *Fleet) Agents() []netp.Agent {
	members := f.Members()
	out := make([]netp.Agent, len(members))
	for i, m := range members {
		out[i] = m.Agent
	}
	return out
}

// Changed is closed when the next agent comes or goes.
func (f *Fleet) Changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

// Await waits until all the agents are there. When ctx ends first, the error
// names those that are not, and wraps the cause of ctx.
func (f *Fleet) Await(ctx context.Context, ids ...netp.AgentID) error {
	for {
		missing, changed := f.missing(ids)
		if len(missing) == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("agents that are not connected: %s: %w", strings.Join(missing, ", "), context.Cause(ctx))
		}
	}
}

func (f *Fleet) missing(ids []netp.AgentID) ([]string, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var missing []string
	for _, id := range ids {
		if f.members[id] == nil {
			missing = append(missing, string(id))
		}
	}
	return missing, f.changed
}
