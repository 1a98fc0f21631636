// Package lab builds wide-area networks in one host, to measure in them with the truth known: sites and routers are network
// namespaces, lines between them are veth pairs whose packets an emulator delays, loses and reorders (package emulator), and the
// kernel shapes, filters and translates. It calls no other programs, needs no configuration, and is gone with the process that
// made it, also when that is killed.
//
// It needs root, or a system that allows user namespaces: Main sees to it. Linux only.
//
// Start with New, then WAN (sites and carriers in one go), Node (a namespace) and Line (an impaired line). A test takes the lab
// from labtest.New.
package lab
