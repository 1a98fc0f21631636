package assert

import (
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// metricFunctions are the functions that may take metrics: pure ones, so that a
// saved plan needs nothing but itself to be judged. All others are called once,
// when the suite is loaded.
func metricFunctions() map[string]function.Function {
	return map[string]function.Function{
		"abs":    stdlib.AbsoluteFunc,
		"ceil":   stdlib.CeilFunc,
		"floor":  stdlib.FloorFunc,
		"format": stdlib.FormatFunc,
		"log":    stdlib.LogFunc,
		"lower":  stdlib.LowerFunc,
		"max":    stdlib.MaxFunc,
		"min":    stdlib.MinFunc,
		"pow":    stdlib.PowFunc,
		"signum": stdlib.SignumFunc,
		"upper":  stdlib.UpperFunc,
	}
}
