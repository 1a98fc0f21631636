package rtt

import "github.com/netpupper/netp"

// split tells the losses of the two directions apart, from the sequence numbers of a reflector that counts what it reflects
// (RFC 8762 §4.3, stateful). A count that never arrived is an answer lost on the way back; a probe for which there is no count
// left was lost on the way there.
//
// Counts are exact, also when packets overtake each other, because a probe is settled only when everything that could arrive
// has arrived. What the counts cannot tell is which probe of an uninterrupted run of losses was lost in which direction;
// the first ones of a run are taken as lost on the way back. That moves events within the run, and changes no number.
//
// An answer that came later than the timeout was lost in neither direction; one so late that its probe was settled is taken as
// lost on the way back. Losses after the last answer stay open, for nobody
// knows how far the reflector had counted; they are no trials of the two ratios.
type split struct {
	started bool
	base    uint64   // counts before are accounted for
	got     []uint64 // ring of bits: which counts from base on have arrived
	missing uint64   // counts before base that did not arrive
	blamed  uint64   // of these, matched with a lost probe

	run, runCounted uint64 // lost probes since the last settled answer, and of these the counted ones
	skipped         uint64 // of the run, those before the first counted one

	differs bool // the reflector's number differed from the probe's at least once
	broken  bool // the numbers are no count

	forward, backward             netp.Tally
	forwardTrials, backwardTrials uint64

	// held are the trials of the latest losses on the way there, oldest first. When a probe overtakes another one that is then
	// lost on the way back, the missing count shows only after the loss was settled. A count that stays unmatched for some
	// answers turns the latest loss into one on the way back.
	held      []uint64
	unmatched int // answers settled since
}

const (
	// heldLosses bounds split.held.
	heldLosses = 64
	// overtaking is how many places a probe is overtaken by at most.
	overtaking = 16
	// uncounted stands in held for the loss of a probe that is no trial.
	uncounted = ^uint64(0)
)

// newSplit makes a split for answers of which at most open are under way. An agent counts from zero; other reflectors may
// have counted before.
func newSplit(open int, agent bool) *split {
	return &split{started: agent, got: make([]uint64, (open+63)/64+1), held: make([]uint64, 0, heldLosses)}
}

func (s *split) bit(count uint64) (word *uint64, mask uint64) {
	place := count % uint64(len(s.got)*64)
	return &s.got[place/64], 1 << (place % 64)
}

// seen notes that an answer with a count arrived, at any time and in any order.
func (s *split) seen(sequence uint64, low uint32) {
	if uint64(low) != sequence&0xFFFFFFFF {
		s.differs = true
	}
	if !s.started {
		s.started = true
		if uint64(low) > sequence {
			s.base = uint64(low) // it had counted before
		}
	}
	count := s.expand(low)
	if count < s.base {
		return
	}
	if count-s.base >= uint64(len(s.got)*64) {
		s.broken = true
		return
	}
	word, mask := s.bit(count)
	*word |= mask
}

// expand completes a count of 32 bits: the one nearest to base.
func (s *split) expand(low uint32) uint64 {
	ahead := int32(low - uint32(s.base))
	if ahead < 0 && uint64(-int64(ahead)) > s.base {
		return s.base + uint64(uint32(ahead))
	}
	return uint64(int64(s.base) + int64(ahead))
}

// settle takes the probes in the order of sending, when nothing more can arrive for them.
func (s *split) settle(p *probe) {
	if s.broken {
		return
	}
	if !p.hasBack {
		s.run++
		if p.counted {
			s.runCounted++
		} else if s.runCounted == 0 {
			s.skipped++
		}
		return
	}
	s.advance(s.expand(p.back))
	s.resolve()
	if s.unmatched++; s.missing == s.blamed {
		s.unmatched = 0
	}
	if s.unmatched > overtaking {
		s.rectify()
	}
	if p.counted {
		s.forwardTrials++
		s.backwardTrials++
	}
}

// advance accounts for all counts before the given one, and for itself.
func (s *split) advance(count uint64) {
	for s.base <= count {
		word, mask := s.bit(s.base)
		if *word&mask == 0 {
			s.missing++
		}
		*word &^= mask
		s.base++
	}
}

// resolve shares the run of losses out.
func (s *split) resolve() {
	back := min(s.missing-s.blamed, s.run)
	s.blamed += back
	for i := range s.run {
		switch counted := i >= s.skipped && i < s.skipped+s.runCounted; {
		case !counted && i >= back:
			s.hold(uncounted)
		case !counted:
		case i < back:
			s.backward.Hit(s.backwardTrials)
			s.backwardTrials++
			s.forwardTrials++
		default:
			s.hold(s.forwardTrials)
			s.forwardTrials++
		}
	}
	s.run, s.runCounted, s.skipped = 0, 0, 0
}

// hold notes a loss on the way there.
func (s *split) hold(trial uint64) {
	if len(s.held) == heldLosses {
		s.commit(s.held[0])
		s.held = s.held[:copy(s.held, s.held[1:])]
	}
	s.held = append(s.held, trial)
}

func (s *split) commit(trial uint64) {
	if trial != uncounted {
		s.forward.Hit(trial)
	}
}

// rectify turns the latest losses on the way there into such on the way back, as far as there are unmatched counts.
func (s *split) rectify() {
	for ; s.missing > s.blamed && len(s.held) > 0; s.blamed++ {
		last := len(s.held) - 1
		if s.held[last] != uncounted {
			s.backward.Hit(s.backwardTrials)
			s.backwardTrials++
		}
		s.held = s.held[:last]
	}
	s.blamed, s.unmatched = s.missing, 0
}

// finish puts the last losses in their place; nothing is settled after it.
func (s *split) finish() {
	s.rectify()
	for _, trial := range s.held {
		s.commit(trial)
	}
	s.held = s.held[:0]
}

// known says whether the two directions can be told apart. A reflector whose numbers always equal the probe's may be
// stateless; then losses cannot be placed, and without any there is nothing to place.
func (s *split) known(agent bool, lost uint64) bool {
	return !s.broken && s.forwardTrials > 0 && (agent || s.differs || lost == 0)
}

// unplaced is the number of losses after the last answer.
func (s *split) unplaced() uint64 { return s.runCounted }

// ratios gives the losses of the two directions.
func (s *split) ratios() (forward, backward *netp.Ratio) {
	return s.forward.Hits(s.forwardTrials), s.backward.Hits(s.backwardTrials)
}
