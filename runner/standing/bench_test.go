package standing

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/netpupper/netp/runner/store"
)

// BenchmarkInstall installs a thousand tests of a hundred sessions between a
// hundred agents, a tenth of them exclusive, and says what they take.
func BenchmarkInstall(b *testing.B) {
	var agents []string
	for i := range 100 {
		agents = append(agents, fmt.Sprint("agent", i))
	}
	paths := mesh(agents...)
	var tests []standingTest
	for i := range 1000 {
		var own []string
		for j := range 100 {
			own = append(own, paths[(i*101+j*97)%len(paths)])
		}
		t := every(fmt.Sprint("t", i), time.Duration(1+i%3)*time.Hour, 11*time.Second, own...)
		t.alone = i%10 == 0
		tests = append(tests, t)
	}
	w := newWorld(b)
	s, err := New(Config{Executor: w, Store: w})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s.Install(store.StandingPlan{Suite: "wan", Plan: planOf("wan", tests...), Installed: time.Unix(0, 0)})
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapAlloc)/1e6, "MB")
	b.ReportMetric(float64(len(s.Status())), "tests")
}
