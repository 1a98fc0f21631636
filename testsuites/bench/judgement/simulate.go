package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/estimate"
	"github.com/netpupper/netp/lang/assert"
)

const confidence = 0.95

// tally counts the verdicts of simulated sessions.
type tally struct {
	sessions int
	// wrongPass and wrongFail count, per step, the sessions judged the wrong way with
	// the truth that far on the other side of the limit.
	wrongPass, wrongFail [3]int
	// rightFail and rightPass count those judged the right way, per step.
	rightFail, rightPass [3]int
}

// simulate measures sessions of a scenario and judges each against limits on both
// sides of the truth: the way a run does it, from raw samples to verdict.
func (s scenario) simulate(sessions int, seed uint64) (tally, error) {
	t := tally{sessions: sessions}
	var below, above [3]assert.Assertion // limits below and above the truth
	for i, step := range s.steps {
		var err error
		if below[i], err = s.assertion(s.truth / step); err != nil {
			return t, err
		}
		if above[i], err = s.assertion(s.truth * step); err != nil {
			return t, err
		}
	}
	r := rand.New(rand.NewPCG(seed, uint64(s.n)))
	spec, member, _ := netp.FindMetric(specs(), s.metric)
	for range sessions {
		m := s.measure(r)
		e, err := estimate.Of(s.metric, spec, member, m, confidence)
		lookup := func(string) (netp.Estimate, error) { return e, err }
		for i := range s.steps {
			t.count(i, below[i].Judge(lookup).Status, above[i].Judge(lookup).Status)
		}
	}
	return t, nil
}

func (t *tally) count(step int, below, above netp.Status) {
	switch below { // the truth breaks this limit
	case netp.Pass:
		t.wrongPass[step]++
	case netp.Fail:
		t.rightFail[step]++
	}
	switch above { // the truth keeps this one
	case netp.Fail:
		t.wrongFail[step]++
	case netp.Pass:
		t.rightPass[step]++
	}
}

func (s scenario) assertion(limit float64) (assert.Assertion, error) {
	a, problems := assert.Compile(assert.Source{
		Name:       s.name,
		Condition:  s.metric + " <= " + strconv.FormatFloat(limit, 'f', -1, 64),
		Metrics:    specs(),
		Confidence: confidence,
	})
	if len(problems) > 0 {
		return a, fmt.Errorf("scenario %q: %s: %s", s.name, problems[0].Summary, problems[0].Detail)
	}
	return a, nil
}

// worst is the largest of the counts as a share of the sessions.
func (t tally) worst(counts [3]int) float64 {
	return float64(max(counts[0], counts[1], counts[2])) / float64(t.sessions)
}

func (t tally) share(count int) float64 { return float64(count) / float64(t.sessions) }
