package agent

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/engine"
	"github.com/netpupper/netp/agent/wire"
	"github.com/netpupper/netp/quantity"
)

// engineFor finds the engine of a kind.
func (d *daemon) engineFor(k netp.Kind) (engine.Engine, bool) {
	for _, e := range d.cfg.Engines {
		if e.Spec().Kind == k {
			return e, true
		}
	}
	return nil, false
}

// runs reports whether the agent's limits allow a kind.
func (d *daemon) runs(k netp.Kind) bool { return d.cfg.Kinds == nil || slices.Contains(d.cfg.Kinds, k) }

func kindList(kinds []netp.Kind) string {
	words := make([]string, len(kinds))
	for i, k := range kinds {
		words[i] = string(k)
	}
	return strings.Join(words, ", ")
}

// admit says why the agent does not take the session on; nil when it does. What
// it admits by declaration the meter holds it to in the data path.
func (d *daemon) admit(o wire.Order, spec netp.KindSpec) *netp.Failure {
	refused := func(format string, args ...any) *netp.Failure {
		detail := fmt.Sprintf("Agent %s ", d.cfg.Name) + fmt.Sprintf(format, args...)
		return &netp.Failure{Kind: netp.FailureRefused, Detail: detail, Agent: d.cfg.Name}
	}
	if !d.runs(spec.Kind) {
		return refused("runs no %s sessions: its limits allow %s only.", spec.Kind, kindList(d.cfg.Kinds))
	}
	if spec.Check != nil {
		if faults := spec.Check(o.Session.Params); len(faults) > 0 {
			return refused("refused the parameter %s: %s", faults[0].Param, faults[0].Detail)
		}
	}
	if err := d.cfg.Reach.allows(o); err != nil {
		return refused("refuses the other end: %v.", err)
	}
	demand, limits := spec.Demand(o.Session.Params), d.cfg.Limits
	load := sends(demand, roleOf(o))
	switch {
	case limits.Duration > 0 && demand.Duration > limits.Duration:
		return refused("runs no session longer than %s; this one asks for %s.", quantity.Duration(limits.Duration), quantity.Duration(demand.Duration))
	case limits.Rate > 0 && load.Rate > limits.Rate:
		return refused("sends at most %g Mbit/s in a session; this one asks for %g Mbit/s.", limits.Rate/1e6, load.Rate/1e6)
	case limits.Rate > 0 && load.Exclusive:
		return refused("sends at most %g Mbit/s in a session, and this one seeks the capacity of the path, so it would find that limit. Give the profile a rate below it.", limits.Rate/1e6)
	case load.Bytes > d.day.left(time.Now()):
		return refused("may send %d more bytes today; this session asks for %d.", d.day.left(time.Now()), load.Bytes)
	}
	if err := d.spool.ready(withinStart); err != nil {
		return refused("cannot keep results: %v.", err)
	}
	return nil
}

func roleOf(o wire.Order) netp.Role {
	if o.Type == wire.Prepare {
		return netp.Responder
	}
	return netp.Initiator
}

// sends is the part of a demand that a role puts on the wire.
func sends(d netp.Demand, r netp.Role) netp.Load {
	if r == netp.Responder {
		return d.Reverse
	}
	return d.Forward
}
