package runner

import (
	"context"
	"fmt"

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

// explainNAT says, in the failure of an agent that is not reached, what NAT has to do
// with it.
func (tr *try) explainNAT(r netp.Result) netp.Result {
	responder, ok := tr.members[netp.Responder]
	if !ok || r.Failure == nil || !r.Failure.DataPort {
		return r
	}
	why := *r.Failure
	switch {
	case responder.Agent.NAT && tr.members[netp.Initiator].Agent.NAT:
		why.Detail += " Both agents are behind NAT, so neither can open the path to the other: forward the data port of one of them to it and give that agent -address."
	case !responder.Agent.NAT:
		why.Detail += fmt.Sprintf(" If agent %s is behind NAT, say nat = true in its block of the suite, or start it with -nat: it then opens the path itself.", responder.Agent.Name)
	}
	r.Failure = &why
	return r
}
