package runner

import (
	"context"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/wire"
)

// inward reports whether the responder has to open the data path: nobody can dial
// it, and it can dial the initiator.
func (tr *try) inward() bool {
	responder, ok := tr.members[netp.Responder]
	return ok && responder.Agent.NAT && !tr.members[netp.Initiator].Agent.NAT
}

// beginInward starts the initiator, which waits on its data port, and then the
// responder, which opens the path to it.
func (tr *try) beginInward(ctx context.Context) *netp.Failure {
	tr.order.Inward = true
	reply, failure := tr.tell(ctx, netp.Initiator, wire.Start, "")
	if failure == nil {
		_, failure = tr.tell(ctx, netp.Responder, wire.Prepare, reply.DataPort)
	}
	return failure
}

// explainNAT says in the failure of an unreachable agent why nothing could work.
func (tr *try) explainNAT(r netp.Result) netp.Result {
	if f := r.Failure; f != nil && f.Kind == netp.FailureUnreachable && tr.members[netp.Initiator].Agent.NAT && tr.members[netp.Responder].Agent.NAT {
		why := *f
		why.Detail += " Both agents are behind NAT, so neither can open the path to the other: forward the data port of one of them to it and give that agent -address."
		r.Failure = &why
	}
	return r
}
