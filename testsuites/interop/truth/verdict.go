//go:build linux

package main

import (
	"fmt"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang/assert"
	"github.com/netpupper/netp/runner"
)

// confidence is that of the assertions.
const confidence = 0.95

// judge gives the verdict of a run on one condition, as the runner does.
func judge(kind netp.Kind, condition string, r netp.Result) (netp.Judgement, error) {
	metrics := specOf(kind).Metrics(complete(kind, nil))
	a, problems := assert.Compile(assert.Source{
		Name: "truth", Severity: netp.SeverityError, Condition: condition, Kind: kind, Metrics: metrics, Confidence: confidence,
	})
	if len(problems) > 0 {
		return netp.Judgement{}, fmt.Errorf("%s: %s", problems[0].Summary, problems[0].Detail)
	}
	judgements, _ := runner.Judge([]assert.Assertion{a}, metrics, r)
	return judgements[0], nil
}
