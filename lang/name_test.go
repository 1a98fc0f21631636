package lang

import (
	"strings"
	"testing"
)

func TestNamesHaveALength(t *testing.T) {
	longest := strings.Repeat("x", maxName)
	for name, valid := range map[string]func(string) bool{"agent": isAgentName, "interface": isInterfaceName, "host": isHost} {
		if !valid("x") || !valid(longest) {
			t.Errorf("%s: a name of 1 or %d characters is not taken", name, maxName)
		}
		if valid("") || valid(longest+"x") {
			t.Errorf("%s: a name of 0 or %d characters is taken", name, maxName+1)
		}
	}
}
