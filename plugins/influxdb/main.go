// Command netp-sink-influxdb is the sink that writes records to InfluxDB 1.x or 2.x as
// line protocol: one point per session, per assertion and per interval of the time
// series. Start with points.go, which says what becomes a tag and what a field;
// line.go is the notation, sink.go the HTTP side.
package main

import "github.com/netpupper/netp/plugins/sdk"

func main() {
	sdk.Serve(sdk.Info{Name: "influxdb", Version: "0.1.0"}, newSink)
}
