package plan

import (
	"slices"
	"testing"
	"time"
)

// voiceEvery is threeSites whose test.voice repeats with the period, 0 for never.
func voiceEvery(period time.Duration) Input {
	s := threeSites()
	for i := range s.Tests {
		s.Tests[i].Every = 0
		if s.Tests[i].Addr == "test.voice" {
			s.Tests[i].Every = period
		}
	}
	return input(s)
}

func tests(p *Plan) []string {
	var out []string
	if p != nil {
		for _, t := range p.Tests {
			out = append(out, t.Addr)
		}
	}
	return out
}

func TestSubset(t *testing.T) {
	p := build(t, input(threeSites()))
	whole := p.Hash
	bulk := p.Subset(func(t Test, s Session) bool { return t.Addr == "test.bulk" && s.Path.Source == "syd" })
	if got := tests(bulk); !slices.Equal(got, []string{"test.bulk"}) || len(bulk.Sessions) != 2 {
		t.Errorf("got %v with %d sessions, want test.bulk with 2", got, len(bulk.Sessions))
	}
	if bulk.Sessions[0].Start != 0 || bulk.Makespan <= 0 || bulk.Hash == whole || bulk.Hash != bulk.Digest() || bulk.Changed() {
		t.Errorf("the subset starts at %v, takes %v, changes %v", bulk.Sessions[0].Start, bulk.Makespan, bulk.Changes)
	}
	if p.Hash != whole || p.Digest() != whole || len(p.Sessions) != 12 {
		t.Error("the plan itself was changed")
	}
}

func TestInstall(t *testing.T) {
	in := voiceEvery(5 * time.Minute)
	whole := build(t, in)
	installed := Install(nil, whole)
	if got := tests(installed); !slices.Equal(got, []string{"test.voice"}) || len(installed.Sessions) != 6 {
		t.Fatalf("installed %v", got)
	}
	if Install(nil, build(t, voiceEvery(0))) != nil {
		t.Error("a plan without standing tests installs something")
	}
	if !whole.ChangesStanding(State{}) {
		t.Error("a new standing test changes nothing that stands")
	}
	in.State = Apply(State{}, whole, "l")
	again := build(t, in)
	if again.ChangesStanding(in.State) || again.Changed() {
		t.Error("the same plan changes something")
	}
	once := voiceEvery(0)
	once.State = in.State
	if p := build(t, once); !p.ChangesStanding(in.State) || Install(installed, p) != nil {
		t.Error("a test that no longer repeats changes nothing, or stays installed")
	}

	in.Targets = []string{"test.bulk"}
	if got := Install(installed, build(t, in)); !slices.Equal(tests(got), []string{"test.voice"}) || got.Hash != got.Digest() || len(got.Targets) > 0 {
		t.Errorf("a plan for test.bulk leaves %v installed, want test.voice", tests(got))
	}
	in.Targets = []string{`test.voice["syd->mel"]`}
	if got := Install(installed, build(t, in)); len(got.Sessions) != 6 {
		t.Errorf("a plan for one session of test.voice leaves %d sessions installed, want all 6", len(got.Sessions))
	}
	in.Targets = []string{"test.voice"}
	changed := build(t, in)
	changed.Tests[0].Standing.Every = time.Minute
	if got := Install(installed, changed); got.Tests[0].Standing.Every != time.Minute || len(got.Sessions) != 6 {
		t.Errorf("a plan for the whole of test.voice does not replace it: %+v", got.Tests[0].Standing)
	}
}
