package agent

import (
	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/engine"
	"github.com/netpupper/netp/agent/engine/rtt"
	"github.com/netpupper/netp/agent/engine/tcp"
	"github.com/netpupper/netp/agent/engine/udp"
)

// Engines lists the kinds of traffic of this build: a new kind is one line here.
func Engines() []engine.Engine {
	return []engine.Engine{new(rtt.Engine), new(udp.Engine), new(tcp.Engine)}
}

// Catalogue declares the kinds of Engines for the language and the plan.
func Catalogue() netp.Catalogue {
	var out netp.Catalogue
	for _, e := range Engines() {
		out = append(out, e.Spec())
	}
	return out
}
