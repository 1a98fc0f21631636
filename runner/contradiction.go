package runner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/netpupper/netp"
)

// Names of counts that kinds share (docs/metrics.md).
const (
	countSent     = "loss.sent"
	countReceived = "loss.received"
)

// Contradictions are failed checks for what a session's counts cannot be together, or with what was asked for: more packets sent
// than its parameter count, or more received than sent. An engine that counts rightly never gives them; an agent that lies, or
// whose engine is at fault, does. They touch the metrics of their direction.
func Contradictions(params netp.Params, r netp.Result) []netp.Check {
	var out []netp.Check
	for _, direction := range []string{"", string(netp.Forward) + ".", string(netp.Reverse) + "."} {
		sent, received := r.Metrics[direction+countSent].Value, r.Metrics[direction+countReceived].Value
		if sent == nil {
			continue
		}
		var touched []string
		if direction != "" {
			touched = []string{strings.TrimSuffix(direction, ".")}
		}
		fail := func(value, limit float64, format string) {
			out = append(out, netp.Check{
				Name: direction + "counts", Value: value, Limit: limit, Unit: "packets", Metrics: slices.Clone(touched),
				Reason: fmt.Sprintf(format, value, limit) + " One of the two agents miscounts: what the session tells of the path cannot be trusted.",
			})
		}
		if asked := params.Number("count"); asked > 0 && *sent > asked {
			fail(*sent, asked, "%.0f packets count as sent, and %.0f were asked for.")
		}
		if received != nil && *received > *sent {
			fail(*received, *sent, "%.0f packets count as received, and %.0f as sent.")
		}
	}
	return out
}
