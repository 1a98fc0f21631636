package view

import (
	"math"
	"strconv"
	"strings"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/quantity"
)

func itoa(n int) string { return strconv.Itoa(n) }

// cell is an estimate in a table: "31.2 ms ± 0.4", "0.43 % 0.23–0.74", "0 % ≤ 0.12 %".
func cell(e netp.Estimate) string {
	point := quantity.Format(e.Point, e.Unit)
	half := (e.High - e.Low) / 2
	switch {
	case e.OpenLow && e.OpenHigh:
		return point + " ± ?"
	case e.OpenHigh:
		return point + " ≥ " + quantity.Format(e.Low, e.Unit)
	case e.OpenLow:
		return point + " ≤ " + quantity.Format(e.High, e.Unit)
	case half <= 0:
		return point
	case e.Unit == "1" && e.Point == 0:
		return point + " ≤ " + quantity.Format(e.High, e.Unit)
	case e.Uncertainty > half/2:
		return quantity.PlusMinus(e.Point, half, e.Unit) + " clock"
	case lopsided(e):
		return quantity.Interval(e.Point, e.Low, e.High, e.Unit)
	}
	return quantity.PlusMinus(e.Point, half, e.Unit)
}

// lopsided reports whether one side of the interval is much longer than the other.
func lopsided(e netp.Estimate) bool {
	low, high := e.Point-e.Low, e.High-e.Point
	return math.Max(low, high) > 1.5*math.Min(low, high)
}

// heading is a metric's name over a column: "loss", "delay p99", "throughput".
func heading(metric string) string {
	name := strings.ReplaceAll(metric, ".", " ")
	for _, usual := range []string{" ratio", " mean"} {
		name = strings.TrimSuffix(name, usual)
	}
	return strings.ReplaceAll(name, "_", " ")
}
