package runner

import (
	"strings"
	"testing"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/runner/fleet"
)

// TestExplainNAT: what to do about NAT is told where the data port was not reached, and only there.
func TestExplainNAT(t *testing.T) {
	const closed = "No answer from the data port 10.0.0.1:8620, UDP, in 5 s."
	for _, c := range []struct {
		near, far bool // behind NAT
		kind      netp.FailureKind
		detail    string
		added     string
	}{
		{kind: netp.FailureUnreachable, detail: closed, added: "If agent far is behind NAT, say nat = true in its block of the suite"},
		{near: true, kind: netp.FailureUnreachable, detail: closed, added: "If agent far is behind NAT"},
		{near: true, far: true, kind: netp.FailureUnreachable, detail: closed, added: "Both agents are behind NAT"},
		{far: true, kind: netp.FailureUnreachable, detail: closed},
		{kind: netp.FailureUnreachable, detail: "Packets of 1400 bytes do not arrive, small ones do."},
		{kind: netp.FailureInterrupted, detail: closed},
	} {
		tr := &try{members: map[netp.Role]fleet.Member{
			netp.Initiator: {Agent: netp.Agent{Name: "near", NAT: c.near}},
			netp.Responder: {Agent: netp.Agent{Name: "far", NAT: c.far}},
		}}
		got := tr.explainNAT(netp.Result{Failure: &netp.Failure{Kind: c.kind, Detail: c.detail}}).Failure.Detail
		added, ok := strings.CutPrefix(got, c.detail)
		if !ok || !strings.HasPrefix(added, strings.TrimRight(" "+c.added, " ")) || (c.added == "") != (added == "") {
			t.Errorf("%+v: %q", c, got)
		}
	}
}
