//go:build linux

package emulator

// departures is a heap of frames by the time they are due.
type departures []*flight

func (q departures) before(i, j int) bool {
	return q[i].due < q[j].due || q[i].due == q[j].due && q[i].order < q[j].order
}

func (q *departures) push(f *flight) {
	*q = append(*q, f)
	h := *q
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h.before(i, up) {
			break
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
}

// pop takes the first of a heap that is not empty.
func (q *departures) pop() *flight {
	h := *q
	first, end := h[0], len(h)-1
	h[0], h[end] = h[end], nil
	h = h[:end]
	for i := 0; ; {
		small := i
		for c := 2*i + 1; c <= 2*i+2 && c < end; c++ {
			if h.before(c, small) {
				small = c
			}
		}
		if small == i {
			break
		}
		h[i], h[small] = h[small], h[i]
		i = small
	}
	*q = h
	return first
}
