package engine

import (
	"errors"
	"fmt"
	"testing"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/port"
)

// TestUnreached: of a data port that was not reached the failure says so; one that did not take the session was.
func TestUnreached(t *testing.T) {
	for cause, want := range map[port.Cause]netp.Failure{
		port.Silent:     {Kind: netp.FailureUnreachable, DataPort: true},
		port.Refused:    {Kind: netp.FailureUnreachable, DataPort: true},
		port.Unroutable: {Kind: netp.FailureUnreachable, DataPort: true},
		port.Unopened:   {Kind: netp.FailureUnreachable, DataPort: true},
		port.Rejected:   {Kind: netp.FailureRefused},
	} {
		u := &port.Unreachable{Network: "udp", Cause: cause}
		want.Detail = Sentence(u)
		if got := Unreached(fmt.Errorf("dial: %w", u)); got == nil || *got != want {
			t.Errorf("%s: %+v; want %+v", cause, got, want)
		}
	}
	if got := Unreached(errors.New("no answer from the data port")); got != nil {
		t.Errorf("%+v of an error that is none of the data port", got)
	}
}

func TestSentence(t *testing.T) {
	for in, want := range map[string]string{"": "", "no answer": "No answer.", "is it open?": "Is it open?", "It ended.": "It ended."} {
		if got := Sentence(errors.New(in)); got != want {
			t.Errorf("%q became %q; want %q", in, got, want)
		}
	}
}
