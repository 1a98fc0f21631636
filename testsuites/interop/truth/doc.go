// Command truth compares what netp's engines measure, and what programs that people trust measure, with what truly happened on the
// path: the path is a line of the lab, whose emulator counts and records each packet. It prints a table for each question and exits
// with 1 when netp misses what it promises. Programs that are not installed are left out and named.
//
//	go run -tags netptest ./testsuites/interop/truth [-only loss,delay] [-sets 1000] [-runs 200]
//
// With the tag netptest clocks can be told to be wrong, which the table of clocks needs. It needs root, or a system that allows
// user namespaces. Start with main.go (the tables), then path.go.
package main
