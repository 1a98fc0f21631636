package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/runner/apply"
)

// approval is how a command may ask before it changes what others rely on.
type approval struct {
	auto bool // -auto-approve
	// silent says that no question may be asked: -input=false, -json.
	silent bool
}

// approve asks whether to do what the sentence says; only yes will do. An error
// means that it must not be done.
func (a *app) approve(ctx context.Context, what string, how approval) error {
	if how.auto {
		return nil
	}
	if how.silent || !a.env.terminal || !a.env.answers || a.env.set("NETP_IN_AUTOMATION") || a.env.denied("NETP_INPUT") {
		return fmt.Errorf("%s\nThat needs approval, and there is nobody to ask. To approve it beforehand: -auto-approve", what)
	}
	a.out().Printf("\n%s\nDo it? Only yes will be accepted: ", what)
	answer := make(chan string, 1)
	go func() { // a read of the terminal cannot be interrupted
		line, _ := bufio.NewReader(a.env.stdin).ReadString('\n')
		answer <- strings.TrimSpace(line)
	}()
	select {
	case <-ctx.Done():
		a.code = exitInterrupted
		return errors.New("interrupted; nothing was changed")
	case word := <-answer:
		if word != "yes" {
			return errors.New("not approved; nothing was changed")
		}
		return nil
	}
}

// approvePlan asks before a plan changes standing tests on a controller; for
// everything else no question is asked.
func (a *app) approvePlan(ctx context.Context, b *remoteSite, p *plan.Plan, how approval) error {
	before, err := b.Suite(ctx, p.Suite.Name)
	switch {
	case err != nil:
		return err
	case before.Source != "" && p.Changed(): // the controller would say so after the question
		return &apply.Owned{Suite: p.Suite.Name, Owner: apply.Owner{Source: before.Source}}
	case !p.ChangesStanding(before.State):
		return nil
	}
	return a.approve(ctx, fmt.Sprintf("This changes standing tests of suite %s on %s.", p.Suite.Name, b.URL()), how)
}

// standingTests counts the tests of a state that run again and again.
func standingTests(s plan.State) int {
	n := 0
	for _, attributes := range s.Tests {
		if attributes["every"] != "" || attributes["cron"] != "" {
			n++
		}
	}
	return n
}
