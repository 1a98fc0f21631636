//go:build linux

package main

import "context"

// row is one comparison of docs/performance.md.
type row struct {
	number      int
	title, goal string
	run         func(context.Context, *bench) error
}

// rows lists all comparisons.
func rows() []row {
	return []row{
		{1, "TCP, one stream, loopback", "≥ 1.5 × iperf3's rate at ≤ 0.75 × its CPU time per gigabyte", tcpOne},
		{2, "TCP, one stream, discarded by the receiver", "≥ 1.3 × iperf3 -Z, CPU time ≤ 0.8 ×", tcpDiscard},
		{3, "TCP, four streams, loopback and veth", "≥ 1.2 × iperf3 -P 4, nowhere below 0.95 ×; parity with -l 1M", tcpFour},
		{4, "UDP, 64 B, no offload, no loss", "≥ 1.2 × iperf3's packets per second, receiver's CPU time per packet ≤ 0.5 ×", udpSingle},
		{5, "UDP, 64 B, segmentation offload", "≥ 50 × iperf3 (≥ 1.1 × iperf3 --gsro), receiver's CPU time ≤ 0.5 ×, loss < 0.1 %", udpSmall},
		{6, "UDP, 1400 B, segmentation offload", "≥ 14 × iperf3 (≥ 1.1 × iperf3 --gsro) received, receiver's CPU time ≤ 0.5 ×, loss ≤ 1 %", udpLarge},
		{7, "Pacing at 1 000 and 10 000 packets per second", "median error ≤ 1 µs, 99th percentile ≤ 0.8 × iperf3's, bursts ≤ 3 %", pacingSlow},
		{8, "Pacing at 50 000 and 100 000 packets per second", "99th percentile ≤ 0.25 × iperf3's, rate error < 0.1 %", pacingFast},
		{9, "Round trips", "beside two busy processes p99 ≤ 0.02 × irtt's and ≤ 0.3 × ping's; idle p50 ≤ 1.3 × ping's", roundTrips},
		{10, "500 concurrent voice streams between two agents", "no loss, CPU time ≤ 0.2 ×", voice},
		{11, "netp plan of 10 000 explicit paths", "validate ≥ 6 × as fast as terraform, plan ≥ 25 ×, memory ≤ 0.6 ×", explicitPlan},
		{12, "netp plan of 10 000 paths by for_each", "≤ 0.2 s, and at most 12 × as long as 1 000", eachPlan},
		{13, "An agent at rest", "RSS ≤ 14 MiB", atRest},
	}
}
