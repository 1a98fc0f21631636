package main

import "testing"

// TestErrorRates simulates more than ten thousand sessions with the truth on the
// wrong side of the threshold and holds the share of wrong verdicts to what the
// confidence promises. Where the truth is far from the threshold most sessions must
// be decided: nothing is gained by never answering. Seeds are fixed, so the outcome is.
func TestErrorRates(t *testing.T) {
	const sessions = 360
	claimed := 0
	for _, s := range scenarios() {
		if s.outside != "" {
			continue
		}
		claimed++
		t.Run(s.metric+" "+s.name, func(t *testing.T) {
			t.Parallel()
			got, err := s.simulate(sessions, 1)
			if err != nil {
				t.Fatal(err)
			}
			if w := got.worst(got.wrongPass); w > 1-confidence {
				t.Errorf("wrong passes: %.3f of sessions, more than %.3f", w, 1-confidence)
			}
			if w := got.worst(got.wrongFail); w > 1-confidence {
				t.Errorf("wrong fails: %.3f of sessions, more than %.3f", w, 1-confidence)
			}
			if f, p := got.share(got.rightFail[2]), got.share(got.rightPass[2]); f < s.decides || p < s.decides {
				t.Errorf("decided: %.2f of fails and %.2f of passes, fewer than %.2f", f, p, s.decides)
			}
		})
	}
	if total := claimed * sessions; total < 10000 {
		t.Errorf("%d simulated sessions, fewer than 10000", total)
	}
}
