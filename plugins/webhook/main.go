// Command netp-sink-webhook is the sink that posts records as JSON to a URL, signed
// with a shared secret. Start with sink.go.
package main

import "github.com/netpupper/netp/plugins/sdk"

func main() {
	sdk.Serve(sdk.Info{Name: "webhook", Version: "0.1.0"}, newSink)
}
