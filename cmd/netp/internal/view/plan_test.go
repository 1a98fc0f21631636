package view

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/plan/schedule"
)

func TestSchedule(t *testing.T) {
	placed := func(test string, rounds ...int) (sessions []plan.Session) {
		for _, r := range rounds {
			sessions = append(sessions, plan.Session{Test: "test." + test, Round: r})
		}
		return sessions
	}
	alone := placed("bulk", 1, 2)
	for i := range alone {
		alone[i].Claims = []schedule.Claim{{Resource: plan.Host, Exclusive: true}}
	}
	var many []plan.Session
	for i := range maxTurns + 1 {
		many = append(many, placed(fmt.Sprint(i), i+1)...)
	}
	for want, sessions := range map[string][]plan.Session{
		"2 sessions, 10 s, side by side": placed("voice", 1, 1),
		"3 sessions, 10 s, in 2 rounds":  placed("bulk", 1, 1, 2),
		"5 sessions, 10 s, in 5 rounds":  many,
		"10 sessions, 10 s: bulk in 2 rounds of up to 3, mtu 1 session, reach one by one, voice side by side": slices.Concat(
			placed("bulk", 1, 1, 1, 2), placed("mtu", 2), placed("reach", 1, 2, 3), placed("voice", 1, 1)),
		"7 sessions, 10 s: bulk in 2 rounds of 3, mtu 1 session":                                                       append(placed("bulk", 1, 1, 1, 2, 2, 2), placed("mtu", 1)...),
		"2 sessions, 10 s, in 2 rounds; those that seek the capacity take turns, because their agents share this host": alone,
	} {
		var out strings.Builder
		Terminal{Out: &out}.schedule(&plan.Plan{Sessions: sessions, Makespan: 10 * time.Second})
		if got := out.String(); got != "Schedule   "+want+"\n" {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
