package lang

import "github.com/netpupper/netp"

// testCatalogue stands for the kinds of a real build: parameters of every type,
// endpoints of every form.
func testCatalogue() netp.Catalogue {
	common := []netp.ParamSpec{
		{Name: "duration", Type: netp.DurationParam, Default: 10.0, Min: 0.01, Max: 86400},
		{Name: "count", Type: netp.IntegerParam, Min: 1, Max: 1e9},
		{Name: "size", Type: netp.SizeParam, Min: 1, Max: 65000},
		{Name: "dscp", Type: netp.DSCPParam, Default: 0.0},
		{Name: "direction", Type: netp.StringParam, Default: "forward", OneOf: []string{"forward", "reverse", "both"}},
	}
	params := func(own ...netp.ParamSpec) []netp.ParamSpec {
		return append(append([]netp.ParamSpec{}, common...), own...)
	}
	metrics := func(specs ...netp.MetricSpec) func(netp.Params) []netp.MetricSpec {
		return func(p netp.Params) []netp.MetricSpec { return netp.Directed(p.Direction(), specs) }
	}
	dist := func(name, unit string) netp.MetricSpec {
		return netp.MetricSpec{Name: name, Unit: unit, Shape: netp.DistributionShape, Basis: netp.PerPacket, Better: "lower"}
	}
	ratio := func(name string) netp.MetricSpec {
		return netp.MetricSpec{Name: name, Unit: "1", Shape: netp.RatioShape, Basis: netp.PerPacket, Better: "lower"}
	}
	demand := func(netp.Params) netp.Demand { return netp.Demand{} }
	return netp.Catalogue{
		{Kind: "rtt", Params: params(netp.ParamSpec{Name: "interval", Type: netp.DurationParam, Default: 0.1}), Agents: true,
			Endpoints: func(netp.Params) []netp.EndpointForm {
				return []netp.EndpointForm{netp.EndpointHost, netp.EndpointHostPort}
			},
			Metrics: metrics(dist("rtt", "s"), ratio("loss.ratio")), Demand: demand},
		{Kind: "udp", Agents: true, Demand: demand,
			Params: params(
				netp.ParamSpec{Name: "rate", Type: netp.RateParam, Required: true},
				netp.ParamSpec{Name: "mix", Type: netp.MixParam},
				netp.ParamSpec{Name: "streams", Type: netp.IntegerParam, Default: 1.0, Min: 1, Max: 64}),
			Check: func(p netp.Params) []netp.ParamFault {
				if p.Has("mix") && p.Has("size") {
					return []netp.ParamFault{{Param: "mix", Detail: "Both mix and size say how large packets are. Remove one of them."}}
				}
				return nil
			},
			Metrics: metrics(dist("delay", "s"), dist("delay_variation", "s"), ratio("loss.ratio"))},
		{Kind: "tcp", Agents: true, Demand: demand,
			Params: params(
				netp.ParamSpec{Name: "streams", Type: netp.IntegerParam, Default: 1.0, Min: 1, Max: 128},
				netp.ParamSpec{Name: "rate", Type: netp.BitRateParam},
				netp.ParamSpec{Name: "discard", Type: netp.BoolParam, Default: false}),
			Metrics: metrics(dist("throughput", "bit/s"), netp.MetricSpec{Name: "retransmits", Unit: "packets", Shape: netp.CountShape})},
		{Kind: "http", Demand: demand, Params: params(),
			Endpoints: func(netp.Params) []netp.EndpointForm { return []netp.EndpointForm{netp.EndpointURL} },
			Metrics:   metrics(dist("ttfb", "s"), ratio("ok.ratio"))},
	}
}

func testOptions() Options {
	return Options{Catalogue: testCatalogue(), Version: "0.5.0",
		Environ: func(name string) (string, bool) {
			v, ok := map[string]string{"INFLUX_TOKEN": "s3cret-canary"}[name]
			return v, ok
		}}
}
