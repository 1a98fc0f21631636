package netp

import (
	"slices"
	"strings"
	"time"
)

// Catalogue is the set of traffic kinds a build of netp knows. The language and
// the plan learn kinds from it; the agent's engines declare them.
type Catalogue []KindSpec

// Find looks a kind up by name.
func (c Catalogue) Find(k Kind) (KindSpec, bool) {
	for _, s := range c {
		if s.Kind == k {
			return s, true
		}
	}
	return KindSpec{}, false
}

// KindSpec declares a kind once: its parameters, its metrics and what a session
// of it costs. All functions are pure and may be called concurrently.
type KindSpec struct {
	Kind    Kind
	Summary string
	Params  []ParamSpec
	// Endpoints says which destinations besides agents the kind can measure
	// with the given parameters; nil means agents only.
	Endpoints func(Params) []EndpointForm
	// Agents is false for kinds that only measure endpoints.
	Agents bool
	// Check finds faults between parameters (each alone is already valid); it may be nil.
	Check func(Params) []ParamFault
	// Metrics lists what a session with these parameters produces, as Directed names it.
	Metrics func(Params) []MetricSpec
	// Demand says what a session with these parameters takes from the network.
	Demand func(Params) Demand
}

// EndpointForm is a way to write an endpoint.
type EndpointForm string

// Endpoint forms: a host name or IP address, a host with port, a URL.
const (
	EndpointHost     EndpointForm = "host"
	EndpointHostPort EndpointForm = "host:port"
	EndpointURL      EndpointForm = "url"
)

// ParamType says how a parameter is written in a suite and kept in Params.
type ParamType string

// The parameter types with their form in Params (always SI base units).
const (
	DurationParam ParamType = "duration"     // float64 [s]; written "60s", "PT1M", 60 * s
	BitRateParam  ParamType = "bit rate"     // float64 [bit/s]; written "10Mbps"
	RateParam     ParamType = "rate"         // string "<n>bps" or "<n>pps"; written "10Mbps", "50pps", 0
	SizeParam     ParamType = "size"         // float64 [B]; written 200, "1.5GB"
	IntegerParam  ParamType = "whole number" // float64
	NumberParam   ParamType = "number"       // float64
	StringParam   ParamType = "string"       // string
	BoolParam     ParamType = "bool"         // bool
	DSCPParam     ParamType = "dscp"         // float64 0..63; written "ef", "af41", 46
	MixParam      ParamType = "packet mix"   // []any of [size, weight]; written "imix" or { "64" = 7, "1500" = 1 }
)

// ParamSpec declares one parameter of a kind.
type ParamSpec struct {
	Name     string
	Type     ParamType
	Required bool
	// Default in the form of Params; nil when there is none.
	Default any
	// Min and Max bound numbers (in SI) when Max > Min.
	Min, Max float64
	// OneOf lists the allowed strings; empty for any.
	OneOf []string
	Doc   string
}

// ParamFault is a fault that lies between parameters, found by KindSpec.Check.
type ParamFault struct {
	Param  string // the argument to point at
	Detail string // full sentences: what is wrong and how to mend it
}

// Shape says what a metric is made of, and with that how it is estimated.
type Shape string

// The shapes of metrics.
const (
	RatioShape        Shape = "ratio"        // events of trials
	DistributionShape Shape = "distribution" // samples; has members p50, mean, ...
	CountShape        Shape = "count"        // an exact number
	ValueShape        Shape = "value"        // one figure of the session, without an interval of its own
)

// Members are the figures a distribution offers, in the order people read them.
var members = []string{"min", "p50", "p90", "p95", "p99", "p999", "max", "mean", "stddev", "count"}

// Members lists the figures a distribution offers: min p50 … count.
func Members() []string { return slices.Clone(members) }

// Basis says what one sample of a metric is.
type Basis string

// A sample is a packet, an interval of the session, or the session itself.
const (
	PerPacket   Basis = "packets"
	PerInterval Basis = "intervals"
	PerSession  Basis = "sessions"
)

// MetricSpec declares one metric: "loss.ratio", "delay", "throughput".
type MetricSpec struct {
	Name   string
	Unit   string // SI: "s", "bit/s", "1", "packets", "B"
	Shape  Shape
	Basis  Basis
	Better string  // "lower", "higher" or "" where neither is
	Share  bool    // of something, from 0 to 1, as ratios always are
	Most   float64 // no figure of samples is above it with these parameters [Unit]; 0 for no bound
	// OneWay marks metrics that compare two clocks and carry their error bound.
	OneWay bool
	Source string // "RFC 7679"
	Doc    string
}

// Demand is what one session takes from the network, in each direction.
type Demand struct {
	Duration  time.Duration // of traffic, warm-up included
	Patience  time.Duration `json:",omitempty"` // how much longer it may take by its parameters: to connect, for late answers, by chance
	Forward   Load
	Reverse   Load
	Intervals int // samples of PerInterval metrics; 0 when nobody can know
}

// Load is the traffic of one direction.
type Load struct {
	Packets   uint64
	Bytes     uint64  // on the IP layer; 0 when only the path's capacity bounds it
	Rate      float64 // peak on the IP layer [bit/s]
	Exclusive bool    // it seeks the capacity and must have it alone
}

// Directed returns the metric names for a session's direction. Metrics of one
// direction keep their names; with Both each is there twice, as forward.NAME
// and reverse.NAME, so that no condition is ambiguous.
func Directed(d Direction, specs []MetricSpec) []MetricSpec {
	if d != Both {
		return specs
	}
	out := make([]MetricSpec, 0, 2*len(specs))
	for _, prefix := range []Direction{Forward, Reverse} {
		for _, s := range specs {
			s.Name = string(prefix) + "." + s.Name
			out = append(out, s)
		}
	}
	return out
}

// FindMetric resolves a name as written in a condition ("delay.p99",
// "loss.ratio") to its spec and, for a distribution, its member.
func FindMetric(specs []MetricSpec, name string) (spec MetricSpec, member string, ok bool) {
	for _, s := range specs {
		if s.Shape != DistributionShape && s.Name == name {
			return s, "", true
		}
		rest, found := strings.CutPrefix(name, s.Name+".")
		if s.Shape == DistributionShape && found && slices.Contains(members, rest) {
			return s, rest, true
		}
	}
	return MetricSpec{}, "", false
}
