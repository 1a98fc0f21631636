package agent

import (
	"context"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/wire"
)

// deliverLater puts a result into the spool, from where deliver takes it.
func (d *daemon) deliverLater(r netp.Result) {
	data, err := wire.EncodePart(r)
	if err != nil { // a figure that is no number, or a result beyond all bounds
		d.cfg.Logger.Error("a result cannot be sent", "session", r.Session, "error", err)
		r = netp.Result{
			Run: r.Run, Session: r.Session, Attempt: r.Attempt, Part: r.Part, Agent: r.Agent,
			Started: r.Started, Ended: r.Ended,
			Failure: &netp.Failure{Kind: netp.FailureInternal, Agent: r.Agent, Detail: "The result cannot be sent: " + err.Error() + "."},
		}
		if data, err = wire.EncodePart(r); err != nil {
			panic("agent: a result without figures does not encode: " + err.Error())
		}
	}
	d.spool.put(wire.KeyOf(r), data)
}

// deliver publishes parts when they are due, until ctx is done. Each goes again
// and again, after growing pauses and after every reconnect, until it is confirmed.
func (d *daemon) deliver(ctx context.Context) error {
	for {
		names, wait := d.spool.due(time.Now())
		for _, name := range names {
			data, err := d.spool.data(name)
			if err == nil && data != nil {
				err = d.link.Part(data)
			}
			if err != nil {
				d.cfg.Logger.Warn("a result waits in the spool", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-d.spool.wake:
		case <-time.After(wait):
		}
	}
}
