package feed

import (
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/runner"
)

func text(t *testing.T, f *Feed, offset int64) (string, bool) {
	t.Helper()
	part, _, over, _ := f.From(offset, 1<<20)
	all, err := io.ReadAll(part)
	if err != nil {
		t.Fatal(err)
	}
	return string(all), over
}

// A run that is told anew after a restart has other ids: who comes back with an id of
// the first telling gets all of the second.
func TestIDsOfASecondTelling(t *testing.T) {
	dir := t.TempDir()
	first, err := New(dir, 0, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	second, err := New(dir, 1_800_000_000_000, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*Feed{first, second} {
		f.Tell(runner.RunStarted{Run: "r"})
		f.Tell(runner.SessionDone{Record: netp.Record{ID: "a"}})
		f.Tell(runner.Progress{}) // passes, is not kept
	}
	if first.After(1) == 0 || first.After(3) != 0 || first.After(0) != 0 || first.After(-1) != 0 {
		t.Error("ids of the first telling are not found, or others are")
	}
	if second.After(1) != 0 || second.After(2) != 0 || second.After(1_800_000_000_001) == 0 {
		t.Error("an id of the first telling means something in the second")
	}
	if got, over := text(t, second, 0); over || !strings.HasPrefix(got, "id: 1800000000001\nevent: run_started\n") || strings.Count(got, "\n\n") != 2 {
		t.Errorf("the second telling is %q", got)
	}
	second.Fail("The disk is full.")
	second.Finish()
	if got, over := text(t, second, second.After(1_800_000_000_002)); !over || !strings.Contains(got, "event: run_failed\ndata: {\"detail\":\"The disk is full.\"}") {
		t.Errorf("the end is %q", got)
	}
	fleeting, ok := second.Watch()
	second.Leave()
	if !ok {
		t.Fatal("nobody can watch")
	}
	second.Unwatch(fleeting)
	first.Leave()
	if _, ok := first.Watch(); ok {
		t.Error("a closed feed is watched")
	}
	if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A feed whose disk is full ends its streams and takes no new ones, instead of letting
// who watches wait for the end of a run that is not in it.
func TestFeedThatCannotBeKept(t *testing.T) {
	f, err := New(t.TempDir(), 0, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	f.Tell(runner.RunStarted{Run: "r"})
	fleeting, ok := f.Watch()
	if !ok {
		t.Fatal("nobody can watch")
	}
	_, _, _, changed := f.From(f.After(1), 1<<20)
	if err := f.file.Close(); err != nil {
		t.Fatal(err)
	}
	f.Tell(runner.SessionDone{Record: netp.Record{ID: "a"}})
	select {
	case <-changed:
	default:
		t.Error("who watches is not woken")
	}
	if _, _, over, _ := f.From(f.After(1), 1<<20); !over {
		t.Error("the stream of a broken feed goes on")
	}
	if _, ok := f.Watch(); ok {
		t.Error("a broken feed can be watched")
	}
	f.Unwatch(fleeting)
}
