//go:build !linux

package tcp

var systemWays []way
