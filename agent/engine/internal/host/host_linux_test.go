package host

import "testing"

func TestParseStat(t *testing.T) {
	got, ok := parseStat([]byte("cpu  10 1 20 300 5 0 4 60 7 0\ncpu0 1 2\n"))
	if want := (ticks{total: 400, idle: 305, steal: 60}); !ok || got != want {
		t.Errorf("got %+v, %v; want %+v", got, ok, want)
	}
	for _, bad := range []string{"", "cpu 1 2", "cpu a b c d e f g h", "intr 1 2 3 4 5 6 7 8 9"} {
		if _, ok := parseStat([]byte(bad)); ok {
			t.Errorf("%q is taken for a reading", bad)
		}
	}
}

func TestReadKnowsThisHost(t *testing.T) {
	r := Read()
	if !r.hostKnown || !r.selfKnown || r.processors.total == 0 || r.process == 0 {
		t.Errorf("got %+v; want the times of the processors and of this process", r)
	}
}
