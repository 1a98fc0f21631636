// Package suggest finds what somebody who mistyped a name probably meant.
package suggest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

const (
	// longest and most bound what is searched: names [B], and lists.
	longest = 100
	most    = 20_000
)

// Sentence gives ` Did you mean "x"?`, with the space in front, for the nearest name, or "".
func Sentence(name string, names []string) string {
	if near := Nearest(name, names); near != "" {
		return fmt.Sprintf(" Did you mean %q?", near)
	}
	return ""
}

// Nearest is the name at most three edits away (Levenshtein), and at most half of what was written; "" when there is none. Upper and
// lower case are the same, and two letters that changed places are one edit. Of equally near ones it is the first in the order of
// strings.
func Nearest(name string, names []string) string {
	if len(name) > longest || len(names) > most {
		return ""
	}
	best, distance := "", 4
	for _, n := range slices.Sorted(slices.Values(names)) {
		if d := len(n) - len(name); d > 3 || d < -3 {
			continue
		}
		d := levenshtein.Distance(strings.ToLower(name), strings.ToLower(n), nil)
		if d == 2 && anagram(name, n) {
			d = 1
		}
		if d < distance && 2*d <= max(len(name), 2) {
			best, distance = n, d
		}
	}
	return best
}

func anagram(a, b string) bool {
	x, y := []byte(a), []byte(b)
	slices.Sort(x)
	slices.Sort(y)
	return bytes.Equal(x, y)
}
