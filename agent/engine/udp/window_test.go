package udp

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestWindow(t *testing.T) {
	var lost []uint64
	w := newWindow(128, func(s uint64) { lost = append(lost, s) })
	for _, step := range []struct {
		sequence uint64
		want     novelty
	}{
		{0, fresh}, {1, fresh}, {3, fresh}, {2, overtaken}, {2, secondCopy}, {2, furtherCopy},
		{127, fresh}, {128, fresh}, {0, expired}, {64, overtaken}, {1000, fresh}, {500, expired},
	} {
		if got := w.add(step.sequence); got != step.want {
			t.Errorf("add(%d) = %d; want %d", step.sequence, got, step.want)
		}
	}
	if beyond := w.finish(1003); beyond != 0 {
		t.Errorf("%d beyond the end; want 0", beyond)
	}
	arrived := []uint64{0, 1, 2, 3, 64, 127, 128, 1000}
	var want []uint64
	for s := range uint64(1003) {
		if !slices.Contains(arrived, s) {
			want = append(want, s)
		}
	}
	if !slices.Equal(lost, want) {
		t.Errorf("lost %d numbers; want %d", len(lost), len(want))
	}
	if w.longest != 871 { // 129 to 999
		t.Errorf("longest run %d; want 871", w.longest)
	}
}

func TestWindowEnds(t *testing.T) {
	for name, c := range map[string]struct {
		arrive       []uint64
		sent         uint64
		lost, beyond uint64
	}{
		"nothing sent":            {nil, 0, 0, 0},
		"nothing arrived":         {nil, 70, 70, 0},
		"more lost than window":   {[]uint64{0}, 10_000, 9_999, 0},
		"last word full":          {[]uint64{63}, 64, 63, 0},
		"arrived but not sent":    {[]uint64{0, 1, 5, 100}, 2, 0, 2},
		"fewer sent than judged":  {[]uint64{1000}, 10, 896, 886},
		"end on a word's border":  {[]uint64{127}, 128, 127, 0},
		"one beyond a full word ": {[]uint64{64}, 64, 64, 1},
	} {
		var lost uint64
		w := newWindow(128, func(uint64) { lost++ })
		for _, s := range c.arrive {
			w.add(s)
		}
		if beyond := w.finish(c.sent); lost != c.lost || beyond != c.beyond {
			t.Errorf("%s: lost %d, beyond %d; want %d, %d", name, lost, beyond, c.lost, c.beyond)
		}
	}
}

// TestWindowAgainstSets compares the window with plain sets, over random sequences that stay within its reach.
func TestWindowAgainstSets(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		const sent, reach = 5000, 30
		var lost, overtook, copies, copied uint64
		w := newWindow(128, func(uint64) { lost++ })
		var order []uint64
		for s := range uint64(sent) {
			if random.IntN(10) == 0 {
				continue
			}
			order = append(order, s)
			for random.IntN(20) == 0 {
				order = append(order, s)
			}
		}
		at := map[int]int{} // position to time of arrival
		places := make([]int, len(order))
		for i := range order {
			places[i], at[i] = i, i+random.IntN(reach)
		}
		slices.SortStableFunc(places, func(a, b int) int { return at[a] - at[b] })
		shuffled := make([]uint64, len(order))
		for i, place := range places {
			shuffled[i] = order[place]
		}
		order = shuffled
		seen := map[uint64]int{}
		var wantOvertook, wantCopies, wantCopied, highest uint64
		for _, s := range order {
			switch seen[s]++; seen[s] {
			case 1:
				if s < highest {
					wantOvertook++
				}
			case 2:
				wantCopied++
				fallthrough
			default:
				wantCopies++
			}
			highest = max(highest, s)
			switch w.add(s) {
			case overtaken:
				overtook++
			case secondCopy:
				copied++
				copies++
			case furtherCopy:
				copies++
			case expired:
				t.Fatal("the test left the window")
			}
		}
		w.finish(sent)
		if lost != sent-uint64(len(seen)) || overtook != wantOvertook || copies != wantCopies || copied != wantCopied {
			t.Fatalf("lost %d overtaken %d copies %d copied %d; want %d %d %d %d", lost, overtook, copies, copied,
				sent-uint64(len(seen)), wantOvertook, wantCopies, wantCopied)
		}
	}
}
