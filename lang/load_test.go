package lang

import (
	"encoding/json"
	"testing"
)

func TestSample(t *testing.T) {
	s, ds := Load("testdata/sample", testOptions())
	for _, d := range ds {
		t.Errorf("unexpected: %s: %s (%v)", d.Summary, d.Detail, d.Range)
	}
	if s == nil {
		t.Fatal("no suite")
	}
	for i := range s.AgentSets {
		s.AgentSets[i].Matches = nil
	}
	out, err := json.MarshalIndent(s.Tests, "", " ")
	t.Log(string(out), err)
}
