package rtt

import (
	"math/bits"
	"time"

	"github.com/netpupper/netp"
)

// grace is how long after the timeout an answer is still recognised: as late, which tells a slow path from a lossy one, and so
// that it is not blamed on one direction.
const grace = 500 * time.Millisecond

// ledger is the account of the probes of one session: what was sent, what came back, and what therefore is lost. It opens no
// socket and reads no clock. It is for one goroutine at a time.
//
// A probe is open until it is timeout + grace old; then it is settled, in the order of sending, and from then on it is part of
// the figures. So the figures never depend on the order in which answers happened to arrive.
type ledger struct {
	timeout int64
	window  []probe // ring by sequence number; its length is a power of two
	next    uint64  // sequence number of the next probe
	settled uint64  // all before are settled
	split   *split  // nil when the far end does not count

	sent       uint64 // counted probes
	received   uint64 // of these, settled and answered in time
	late       uint64 // settled and answered later
	lost       uint64 // settled and not answered in time
	answers    uint64 // probes of any kind that were answered, also too late, as it came
	stale      uint64 // answers to probes that are settled
	longest    uint64
	losing     uint64 // lost one after the other until now
	arrivals   netp.Tally
	duplicated netp.Tally
	rtt, user  *netp.Distribution
	rows       rows
}

// probe is what is known of a packet that was sent.
type probe struct {
	left    int64 // clock.Mono at the call that sent it
	wall    int64 // wall clock at that time: T1 of the packet
	kernel  int64 // the kernel's stamp of its departure; 0 while there is none
	rtt     int64 // of the answer, ns
	user    int64 // ns
	counted bool  // false for warm-up and closing
	state   answerState
	again   bool   // more than one answer
	hasBack bool   // the answer had a count
	back    uint32 // the reflector's count in the answer
}

type answerState uint8

const (
	unanswered answerState = iota
	inTime
	tooLate
	notSent // as it turned out; it does not count
)

// answer is what arrived for a probe.
type answer struct {
	rtt, user int64 // ns; rtt decides about the timeout, so that a host which is slow to read loses nothing
	hasBack   bool
	back      uint32 // the reflector's sequence number
}

// reception is what an answer turned out to be.
type reception uint8

const (
	receivedFirst reception = iota
	receivedAgain
	receivedLate
	receivedStale // its probe is settled, or was never sent
)

// newLedger makes the ledger for probes of which at most open are younger than timeout + grace.
func newLedger(timeout time.Duration, open int, s *split, r rows) *ledger {
	return &ledger{
		timeout: int64(timeout),
		window:  make([]probe, 1<<bits.Len(uint(open))),
		split:   s,
		rtt:     netp.NewDistribution(1e-9),
		user:    netp.NewDistribution(1e-9),
		rows:    r,
	}
}

// at is the place of an open probe; nil when the sequence number belongs to none.
func (l *ledger) at(sequence uint64) *probe {
	if sequence < l.settled || sequence >= l.next {
		return nil
	}
	return &l.window[sequence&uint64(len(l.window)-1)]
}

// expand completes a sequence number of which the lowest bits were carried: the latest one sent that ends so.
func (l *ledger) expand(low uint64, width uint) uint64 {
	if l.next == 0 {
		return l.next // belongs to none
	}
	last := l.next - 1
	behind := (last - low) & (1<<width - 1)
	if behind > last {
		return l.next
	}
	return last - behind
}

// send opens a probe that is about to be sent. It says false when there is no room: too many probes are open.
func (l *ledger) send(left, wall int64, counted bool) (sequence uint64, ok bool) {
	if l.next-l.settled == uint64(len(l.window)) {
		return 0, false
	}
	sequence = l.next
	l.next++
	*l.at(sequence) = probe{left: left, wall: wall, counted: counted}
	if counted {
		l.sent++
	}
	return sequence, true
}

// unsend takes back the latest probe: it could not be sent.
func (l *ledger) unsend() {
	l.next--
	if l.window[l.next&uint64(len(l.window)-1)].counted {
		l.sent--
	}
}

// answered notes an answer.
func (l *ledger) answered(sequence uint64, a answer) reception {
	p := l.at(sequence)
	if p == nil {
		if sequence < l.settled {
			l.stale++
		}
		return receivedStale
	}
	if a.hasBack && l.split != nil {
		l.split.seen(sequence, a.back)
	}
	if p.state != unanswered {
		p.again = true
		return receivedAgain
	}
	l.answers++
	p.rtt, p.user, p.hasBack, p.back = a.rtt, a.user, a.hasBack, a.back
	if a.rtt > l.timeout {
		p.state = tooLate
		return receivedLate
	}
	p.state = inTime
	return receivedFirst
}

// reached says whether the far end answers, if only when its answers count for nothing any more.
func (l *ledger) reached() bool { return l.answers+l.stale > 0 }

// open is the number of probes without an answer that are not settled.
func (l *ledger) open() int {
	n := 0
	for s := l.settled; s < l.next; s++ {
		if l.at(s).state == unanswered {
			n++
		}
	}
	return n
}

// settle closes the probes that are old enough. What arrived until then (clock.Mono) has been read.
func (l *ledger) settle(until int64) {
	for l.settled < l.next && until-l.at(l.settled).left > l.timeout+int64(grace) {
		l.settleNext()
	}
}

// cut forgets the probes from the first one on whose answer may still be under way: the session was stopped, and nobody will
// know.
func (l *ledger) cut(now int64) {
	l.settle(now)
	for s := l.settled; s < l.next; s++ {
		p := l.at(s)
		if p.state != unanswered || now-p.left > l.timeout {
			continue
		}
		for at := s; at < l.next; at++ {
			l.void(at)
		}
		l.next = s
	}
}

// void takes a probe back that was not sent after all.
func (l *ledger) void(sequence uint64) {
	p := l.at(sequence)
	if p == nil || p.state == notSent {
		return
	}
	if p.counted {
		l.sent--
	}
	p.counted, p.state = false, notSent
}

// finish closes all probes: nothing more will come.
func (l *ledger) finish() {
	for l.settled < l.next {
		l.settleNext()
	}
	if l.split != nil {
		l.split.finish()
	}
}

func (l *ledger) settleNext() {
	p := l.at(l.settled)
	if l.split != nil {
		l.split.settle(p)
	}
	if p.counted {
		l.count(p)
	}
	l.settled++
}

// count makes a settled probe part of the figures.
func (l *ledger) count(p *probe) {
	l.rows.count(p)
	trial := l.received + l.lost
	if p.state != inTime {
		if p.state == tooLate {
			l.late++
		}
		l.lost++
		l.losing++
		l.longest = max(l.longest, l.losing)
		return
	}
	l.losing = 0
	l.arrivals.Hit(trial)
	if p.again {
		l.duplicated.Hit(l.received)
	}
	l.received++
	l.rtt.Record(p.rtt)
	l.user.Record(p.user)
}
