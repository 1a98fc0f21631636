//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/netpupper/netp/testsuites/lab"
	"github.com/netpupper/netp/testsuites/lab/labtest"
)

func TestMain(m *testing.M) {
	if os.Args[0] == endName {
		if err := playEnd(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(lab.Main(m.Run))
}

// TestAnswers answers the questions on a small scale, without the other programs. What a busy machine decides is printed and not
// asserted: how late packets are stamped, and how much of a line is used.
func TestAnswers(t *testing.T) {
	small := scale{sets: 50, runs: 16, hostile: 20_000, seconds: 1, stalls: 4, windows: 8, alone: true}
	for _, q := range questions() {
		if q.name == "rate" {
			continue // it compares programs, for minutes
		}
		t.Run(q.name, func(t *testing.T) {
			if q.name == "clock" && !canBeWrong {
				return // tested with the tag netptest
			}
			if q.name == "stamp" && !installed("tshark") {
				t.Skip("needs tshark")
			}
			l := labtest.New(t)
			answer, err := q.answer(t.Context(), l, small)
			if errors.Is(err, lab.ErrLate) {
				t.Logf("not measured: %v", err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := answer.print(t.Output()); err != nil {
				t.Fatal(err)
			}
			if answer.missed > 0 && q.name != "delay" {
				t.Errorf("%d rows miss what netp promises", answer.missed)
			}
			if len(answer.rows) == 0 {
				t.Error("the table is empty")
			}
		})
	}
}
