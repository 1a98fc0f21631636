// Command netp-sink-postgres is the sink that keeps records in PostgreSQL: a row per
// record, per assertion and per metric. tables.go is what they look like; sink.go
// writes them.
package main

import "github.com/netpupper/netp/plugins/sdk"

func main() {
	sdk.Serve(sdk.Info{Name: "postgres", Version: "0.1.0"}, newSink)
}
