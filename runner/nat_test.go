package runner

import (
	"strings"
	"testing"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/runner/fleet"
)

// TestExplainNAT: what to do about NAT is told where the data port was not reached, and only there.
func TestExplainNAT(t *testing.T) {
	for _, c := range []struct {
		near, far bool // behind NAT
		dataPort  bool // not reached
		added     string
	}{
		{dataPort: true, added: " If agent far is behind NAT, say nat = true in its block of the suite"},
		{near: true, dataPort: true, added: " If agent far is behind NAT"},
		{near: true, far: true, dataPort: true, added: " Both agents are behind NAT"},
		{far: true, dataPort: true},
		{},
		{near: true, far: true},
	} {
		tr := &try{members: map[netp.Role]fleet.Member{
			netp.Initiator: {Agent: netp.Agent{Name: "near", NAT: c.near}},
			netp.Responder: {Agent: netp.Agent{Name: "far", NAT: c.far}},
		}}
		const detail = "Packets to the data port do not arrive." // words decide nothing
		got := tr.explainNAT(netp.Result{Failure: &netp.Failure{Kind: netp.FailureUnreachable, Detail: detail, DataPort: c.dataPort}}).Failure.Detail
		added, ok := strings.CutPrefix(got, detail)
		if !ok || !strings.HasPrefix(added, c.added) || (c.added == "") != (added == "") {
			t.Errorf("%+v: %q", c, got)
		}
	}
}
