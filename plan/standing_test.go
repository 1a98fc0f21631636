package plan

import (
	"slices"
	"testing"
	"time"

	"github.com/netpupper/netp"
)

func TestTurnsAreTheStandingTests(t *testing.T) {
	whole := build(t, input(threeSites()))
	before := asJSON(t, whole)
	turns := whole.Turns()
	if len(turns) != 1 {
		t.Fatalf("got %d turns, want that of test.voice alone", len(turns))
	}
	turn := turns[0]
	if len(turn.Tests) != 1 || turn.Tests[0].Addr != "test.voice" || len(turn.Sessions) != 6 {
		t.Errorf("got tests %v with %d sessions", turn.Tests, len(turn.Sessions))
	}
	for _, s := range turn.Sessions {
		if s.Test != "test.voice" {
			t.Errorf("session %s does not belong to it", s.Addr)
		}
	}
	if turn.Hash != whole.Hash || turn.Suite.Name != whole.Suite.Name {
		t.Error("the turn does not name the plan and suite it is of")
	}
	if turn.Capacities["link.core"] != 500e6 || len(turn.Links) != 1 || len(turn.Agents) != 3 {
		t.Errorf("got capacities %v, links %v and %d agents", turn.Capacities, turn.Links, len(turn.Agents))
	}
	if len(turn.Changes) != 0 || turn.Cost.Bytes != 0 {
		t.Error("the turn tells changes and cost of the whole")
	}
	validate(t, turn)
	turn.Sessions[0].Start = time.Hour
	if asJSON(t, whole) != before {
		t.Error("a change in a turn shows in the whole")
	}
}

func TestTurnsTakeAgentsOfTheirOwn(t *testing.T) {
	s := threeSites()
	s.Tests[1].Paths[0].Key = "syd->mel"
	turn := build(t, input(s)).Turns()[0]
	var names []netp.AgentID
	for _, a := range turn.Agents {
		names = append(names, a.Name)
	}
	if !slices.Equal(names, []netp.AgentID{"mel", "syd"}) {
		t.Errorf("got agents %v, want mel and syd", names)
	}
}

func TestLate(t *testing.T) {
	for _, c := range []struct {
		Standing
		want time.Duration
	}{
		{Standing{Every: 5 * time.Minute}, 5 * time.Minute},
		{Standing{Every: 24 * time.Hour}, time.Hour},
		{Standing{Every: 24 * time.Hour, Slip: 2 * time.Hour}, 2 * time.Hour},
		{Standing{Cron: "0 2 * * *"}, 10 * time.Minute},
		{Standing{Cron: "0 2 * * *", Slip: time.Minute}, time.Minute},
	} {
		if got := c.Late(); got != c.want {
			t.Errorf("%+v: got %v, want %v", c.Standing, got, c.want)
		}
	}
}

// By cron, an agent's bytes count for each turn of a day.
func TestCronCountsInADay(t *testing.T) {
	in := input(threeSites())
	in.Suite.Tests[1].Every, in.Suite.Tests[1].Cron = 0, "*/5 2 * * *"
	in.Inventory[0].Limits.BytesPerDay = 10e6
	if _, diags := Build(in); !diags.HasErrors() {
		t.Error("12 turns of 1.5 MB each are allowed with a limit of 10 MB a day")
	}
	in.Suite.Tests[1].Cron = "*/15 2 * * *"
	build(t, in)
}
