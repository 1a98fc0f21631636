// Command netp-sink-jsonl is the sink that appends each record as one line of JSON to
// a file: the simplest archive, readable with any tool. Start with sink.go; file.go
// keeps the file whole.
package main

import "github.com/netpupper/netp/plugins/sdk"

func main() {
	sdk.Serve(sdk.Info{Name: "jsonl", Version: "0.1.0"}, newSink)
}
