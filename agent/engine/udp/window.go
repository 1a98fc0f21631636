package udp

import "math/bits"

// Sizes of a window [sequence numbers].
const (
	minWindow = 1 << 16
	maxWindow = 1 << 24
)

// window remembers for the latest sequence numbers of one stream which have arrived. What it slides over is judged: not
// arrived until then is lost. Memory is fixed.
type window struct {
	seen, again []uint64 // a bit per sequence number: arrived; arrived more than once
	base        uint64   // the lowest sequence number not yet judged, a multiple of 64
	next        uint64   // the highest received + 1
	run         uint64   // losses in a row up to base
	longest     uint64
	lost        func(sequence uint64) // told of each loss, in order
}

// novelty says what an arrival is to a window.
type novelty uint8

const (
	fresh      novelty = iota
	overtaken          // fresh, but a later one was here before (RFC 4737)
	secondCopy         // the first additional copy
	furtherCopy
	expired // judged long ago
)

// newWindow makes a window of a size that is a power of two, at least 128.
func newWindow(size int, lost func(uint64)) *window {
	return &window{seen: make([]uint64, size/64), again: make([]uint64, size/64), lost: lost}
}

// reach slides the window to a sequence number, if it is beyond, and gives its place. It is not ok for one that was judged.
func (w *window) reach(sequence uint64) (word, bit uint64, ok bool) {
	if sequence < w.base {
		return 0, 0, false
	}
	if size := uint64(len(w.seen)) * 64; sequence >= w.base+size {
		w.slide((sequence-size)/64*64 + 64)
	}
	return sequence / 64 % uint64(len(w.seen)), uint64(1) << (sequence % 64), true
}

// add notes an arrival.
func (w *window) add(sequence uint64) novelty {
	word, bit, ok := w.reach(sequence)
	switch {
	case !ok:
		return expired
	case w.seen[word]&bit == 0:
		w.seen[word] |= bit
		if sequence < w.next {
			return overtaken
		}
		w.next = sequence + 1
		return fresh
	case w.again[word]&bit == 0:
		w.again[word] |= bit
		return secondCopy
	}
	return furtherCopy
}

// overdue notes an arrival after the timeout, of what counts as lost: it is fresh, a further copy, or expired. The bit is that of copies,
// which has no meaning as long as the packet has not arrived.
func (w *window) overdue(sequence uint64) novelty {
	word, bit, ok := w.reach(sequence)
	switch {
	case !ok:
		return expired
	case w.again[word]&bit != 0:
		return furtherCopy
	}
	w.again[word] |= bit
	return fresh
}

// addRun notes n arrivals in a row that are all beyond any before, as add would one by one.
func (w *window) addRun(sequence, n uint64) {
	if size := uint64(len(w.seen)) * 64; sequence+n > w.base+size {
		w.slide((sequence + n - size + 63) / 64 * 64)
	}
	for end := sequence + n; sequence < end; {
		take := min(64-sequence%64, end-sequence)
		w.seen[sequence/64%uint64(len(w.seen))] |= (^uint64(0) >> (64 - take)) << (sequence % 64)
		sequence += take
	}
	w.next = sequence
}

// has says whether a sequence number has arrived, as far as the window remembers.
func (w *window) has(sequence uint64) bool {
	size := uint64(len(w.seen)) * 64
	return sequence >= w.base && sequence < w.base+size && w.seen[sequence/64%uint64(len(w.seen))]>>(sequence%64)&1 != 0
}

// slide judges all below to, a multiple of 64.
func (w *window) slide(to uint64) {
	for ; w.base < to; w.base += 64 {
		word := w.base / 64 % uint64(len(w.seen))
		w.judge(w.seen[word], 64)
		w.seen[word], w.again[word] = 0, 0
	}
}

// judge takes the first n sequence numbers from base on.
func (w *window) judge(seen uint64, n int) {
	if missing := ^seen; n == 64 && missing == 0 {
		w.run = 0
		return
	}
	for i := range n {
		if seen>>i&1 != 0 {
			w.run = 0
			continue
		}
		w.run++
		w.longest = max(w.longest, w.run)
		w.lost(w.base + uint64(i))
	}
}

// finish judges all that were sent, and says how many arrived that were not: more than none is a contradiction. Nothing can be
// added afterwards.
func (w *window) finish(sent uint64) (beyond uint64) {
	size := uint64(len(w.seen)) * 64
	if sent > w.base+size { // the last ones are lost beyond the reach of the window
		w.slide((sent-size)/64*64 + 64)
	}
	if sent < w.base {
		return w.base - sent
	}
	w.slide(sent / 64 * 64)
	word := w.base / 64 % uint64(len(w.seen))
	tail := int(sent - w.base)
	w.judge(w.seen[word], tail)
	beyond = uint64(bits.OnesCount64(w.seen[word] >> tail))
	for i := uint64(1); i < uint64(len(w.seen)); i++ {
		beyond += uint64(bits.OnesCount64(w.seen[(word+i)%uint64(len(w.seen))]))
	}
	return beyond
}
