package udp

// timeline is a row of cells of equal length in time. When the cells do not reach, neighbours are joined and the length
// doubles, so it needs no knowledge of how long a session will be.
type timeline[T any] struct {
	length int64 // ns of a cell
	most   int   // cells, even
	join   func(into *T, other T)
	start  int64 // of the first cell; set by the first use
	cells  []T
}

// at is the cell of a time; times before the first one used belong to its cell.
func (t *timeline[T]) at(stamp int64) *T {
	if len(t.cells) == 0 {
		t.start = stamp
		t.cells = make([]T, 1)
	}
	behind := max(stamp-t.start, 0)
	for behind/t.length >= int64(t.most) {
		t.halve()
	}
	i := int(behind / t.length)
	if i >= len(t.cells) {
		t.cells = append(t.cells, make([]T, i+1-len(t.cells))...)
	}
	return &t.cells[i]
}

func (t *timeline[T]) halve() {
	half := (len(t.cells) + 1) / 2
	for i := range half {
		t.cells[i] = t.cells[2*i]
		if 2*i+1 < len(t.cells) {
			t.join(&t.cells[i], t.cells[2*i+1])
		}
	}
	t.cells = t.cells[:half]
	t.length *= 2
}
