package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/netpupper/netp"
)

// TestWrite holds what is hashed against the plan's JSON in one piece.
func TestWrite(t *testing.T) {
	for _, n := range []int{-1, 0, 1, sessionsAtATime, sessionsAtATime + 1, 3 * sessionsAtATime} {
		p := Plan{Suite: SuiteInfo{Description: string(noSessions)}, Changes: []Change{{Sessions: n}},
			Tests: []Test{{Params: netp.Params{"sessions": "[]", "text": string(noSessions)}}}}
		if n >= 0 {
			p.Sessions = []Session{}
		}
		for i := range n {
			p.Sessions = append(p.Sessions, Session{Addr: fmt.Sprintf("test.t[\"%d<&>\"]", i), Test: string(noSessions)})
		}
		var got, want bytes.Buffer
		p.write(&got)
		if err := json.NewEncoder(&want).Encode(p); err != nil {
			t.Fatal(err)
		}
		if got.String() != want.String() {
			t.Errorf("%d sessions: got %.2000s, want %.2000s", n, &got, &want)
		}
	}
}
