package agent

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/wire"
)

// daemon is an agent that runs.
type daemon struct {
	cfg         Config
	spool       *spool
	ports       *ports
	link        *wire.Agent
	day         *dayBudget
	incarnation string
	kinds       []netp.Kind // that it runs
	announceNow chan struct{}
	welcomed    chan struct{} // closed by the first welcome

	life    context.Context // of the sessions
	kill    context.CancelCauseFunc
	running sync.WaitGroup // sessions

	mu       sync.Mutex // guards what follows
	draining bool
	lease    time.Time     // when it runs out; has a monotonic reading
	length   time.Duration // of the lease
	ahead    time.Duration // the controller's clock minus ours
	answer   chan struct{} // closed and replaced by each welcome
	orders   map[orderKey]*answer
	sessions map[sessionKey]*session
	quiet    int // announcements since there was an order
}

// helloTimeout bounds one announcement; the first ones are repeated this often.
const (
	helloTimeout = 2 * time.Second
	firstHellos  = 200 * time.Millisecond
)

// announceSoon makes the next announcement come now.
func (d *daemon) announceSoon() {
	select {
	case d.announceNow <- struct{}{}:
	default: // one is on its way
	}
}

// announce renews the lease three times in its length until ctx is done. It ends
// early only when the controller refuses the agent.
func (d *daemon) announce(ctx context.Context) error {
	joined := false
	for {
		err := d.renew(ctx)
		var refused *wire.Refused
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &refused):
			return err
		case err != nil && joined:
			d.cfg.Logger.Warn("the controller does not answer", "error", err)
		case err == nil && !joined:
			sick(d.cfg.Logger, d.hello().Health)
			d.cfg.Logger.Info("joined", "agent", d.cfg.Name, "data port", d.ports.address())
		}
		joined = err == nil
		d.rest()
		select {
		case <-ctx.Done():
			return nil
		case <-d.announceNow:
		case <-time.After(d.helloInterval(joined)):
		}
	}
}

func (d *daemon) helloInterval(joined bool) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !joined {
		return firstHellos
	}
	return d.length / 3
}

// renew announces the agent once and takes over what the welcome says.
func (d *daemon) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	sent := time.Now()
	w, err := d.link.Hello(ctx, d.hello())
	if err != nil {
		return err
	}
	answered := time.Now()
	if err := d.spool.raiseEpoch(w.Epoch); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.length == 0 {
		close(d.welcomed)
	}
	d.lease, d.length = sent.Add(w.Lease), w.Lease
	d.ahead = w.Time.Sub(answered.Add(-answered.Sub(sent) / 2))
	close(d.answer)
	d.answer = make(chan struct{})
	return nil
}

// rest forgets the orders that are over, and counts the announcements during which no order was valid and no session ran.
func (d *daemon) rest() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.quiet++
	d.forget()
	if len(d.orders)+len(d.sessions) > 0 {
		d.quiet = 0
	}
	if d.quiet > 0 && d.cfg.Rest != nil {
		d.cfg.Rest(d.quiet)
	}
}

// hello is what the agent says of itself now.
func (d *daemon) hello() wire.Hello {
	d.mu.Lock()
	running, draining := len(d.sessions), d.draining
	d.mu.Unlock()
	description := d.describe()
	return wire.Hello{
		MinVersion:   wire.MinVersion,
		MaxVersion:   wire.MaxVersion,
		Agent:        description,
		Health:       d.health(description.Clock),
		Installation: d.spool.installation,
		Incarnation:  d.incarnation,
		Running:      running,
		Draining:     draining,
		Sent:         time.Now().UTC(),
	}
}

func (d *daemon) describe() netp.Agent {
	a := netp.Agent{
		Name:       d.cfg.Name,
		Tags:       d.cfg.Tags,
		Interfaces: d.cfg.Interfaces,
		Address:    d.ports.address(),
		NAT:        d.cfg.NAT,
		Netns:      d.cfg.Listen.Netns,
		Limits:     d.cfg.Limits,
		Version:    d.cfg.Version,
		Host:       d.cfg.Clock.HostID(),
		Kinds:      d.kinds,
	}
	if state, err := d.cfg.Clock.Read(); err == nil {
		a.Clock = netp.ClockState{Known: true, Synchronised: state.Synchronised, MaxError: state.MaxError, Source: state.Source}
	}
	return a
}

// now is the time by the controller's clock. d.mu is held.
func (d *daemon) now() time.Time { return time.Now().Add(d.ahead) }
