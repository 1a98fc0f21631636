//go:build !race

package lang

// bombSize is the length of texts made to hurt the parser [B].
const bombSize = 200 << 10
