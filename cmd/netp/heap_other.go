//go:build !linux

package main

func roomy() {}
