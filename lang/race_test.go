//go:build race

package lang

// bombSize: the race detector makes lexing ten times slower; what a bound stops
// it stops at this size too.
const bombSize = 20 << 10
