package runner

import (
	"testing"

	"github.com/netpupper/netp"
)

// TestWhoExplains: what one end concluded from the other's end is no finding about the path when that one says why it ended.
func TestWhoExplains(t *testing.T) {
	for _, c := range []struct{ initiator, responder, want netp.FailureKind }{
		{netp.FailureInterrupted, netp.FailureAgentLost, netp.FailureAgentLost},
		{netp.FailureAgentLost, netp.FailureInterrupted, netp.FailureAgentLost},
		{netp.FailureTimeout, netp.FailurePermission, netp.FailurePermission},
		{netp.FailureInterrupted, netp.FailureTimeout, netp.FailureInterrupted},
		{netp.FailureInterrupted, "", netp.FailureInterrupted},
	} {
		part := func(role netp.Role, kind netp.FailureKind) netp.Result {
			r := netp.Result{Part: role, Completed: kind == ""}
			if kind != "" {
				r.Failure = &netp.Failure{Kind: kind, Detail: "It is so."}
			}
			return r
		}
		tr := &try{task: &task{spec: netp.KindSpec{Metrics: func(netp.Params) []netp.MetricSpec { return nil }}}, got: map[netp.Role]netp.Result{
			netp.Initiator: part(netp.Initiator, c.initiator), netp.Responder: part(netp.Responder, c.responder),
		}}
		if got := tr.merge(); got.Failure == nil || got.Failure.Kind != c.want || got.Completed {
			t.Errorf("%s and %s: %+v; want %s", c.initiator, c.responder, got.Failure, c.want)
		}
	}
}
