package lang

import (
	"regexp"
	"testing"
)

// TestIsIdentifier agrees with the expression that says it in one line.
func TestIsIdentifier(t *testing.T) {
	want := regexp.MustCompile(`^[\pL_][\pL\pN_-]*$`)
	for _, text := range []string{"", "a", "_", "-", "1", "a1", "a-b_c", "Ärger", "日本", "a b", "a.b", "²", "a²", "aⅫ", "\xff", "a\xff", "a\n", "\u0301a"} {
		if got := isIdentifier(text); got != want.MatchString(text) {
			t.Errorf("%q: got %v", text, got)
		}
	}
}
