//go:build linux

package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/engine"
	"github.com/netpupper/netp/agent/port"
	"github.com/netpupper/netp/testsuites/lab/emulator"
)

// A peer that lies is an agent: it has the session's keys. Its packets are made here by what the protocol of udp says of them
// (agent/engine/udp/protocol.md), not by the engine.
const (
	controlSize = 96
	lyingCount  = 1000
	lyingLoss   = 10 // each such packet is lost
)

// tally is what the receiver of a stream tells its sender.
type tally struct{ sent, received, next uint64 }

// deceived has the receiver lie to an honest sender, over a path that loses each tenth packet: the lies would make it pass.
func (p path) deceived(ctx context.Context, t *table, _ scale) error {
	for _, lie := range []struct {
		name, promise string
		tell          func(truth tally) tally
	}{
		{"the receiver says that less was sent", "contradicted", func(t tally) tally { return tally{t.received, t.received, t.received} }},
		{"the receiver says that more arrived than was sent", "contradicted", func(t tally) tally { return tally{t.sent, t.sent + 7, t.sent} }},
		{"the receiver saw packets that were not sent", "contradicted", func(t tally) tally { return tally{t.sent, t.sent, t.sent + 7} }},
		// Nobody but the liar knows what arrived.
		{"the receiver says that all arrived", "", func(t tally) tally { return tally{t.sent, t.sent, t.sent} }},
	} {
		if err := p.sick(emulator.Impair{Only: data(), LossEvery: lyingLoss}, emulator.Impair{}); err != nil {
			return err
		}
		r, err := p.between(ctx, lyingSession(), func(ctx context.Context, here, there engine.Job) (netp.Result, error) {
			initiator, _, err := engines(here.Kind)
			if err != nil {
				return netp.Result{}, err
			}
			honest := make(chan netp.Result, 1)
			go func() { honest <- initiator.Initiate(ctx, here) }()
			theirs, err := lyingReceiver(ctx, there, lie.tell)
			ours := <-honest
			ours.Part = netp.Initiator
			return netp.Merge(ours, theirs), err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", lie.name, err)
		}
		if err := t.verdict(true, lie.promise, contradicted(lie.promise), lie.name, "udp", spoken(r), r); err != nil {
			return err
		}
	}
	return nil
}

// contradicted is the best verdict on a lie that must be found out; "" of one that cannot be.
func contradicted(promise string) netp.Status {
	if promise == "" {
		return ""
	}
	return netp.Inconclusive
}

// misled has the sender lie to an honest receiver, over a path that loses nothing.
func (p path) misled(ctx context.Context, t *table, _ scale) error {
	for _, lie := range []struct {
		name, promise string
		sends, says   uint64
	}{
		{"the sender says that it sent half of what it did", "contradicted", lyingCount, lyingCount / 2},
		{"the sender sends twice what was agreed", "contradicted", 2 * lyingCount, lyingCount},
		{"the sender sends twice what was agreed, and says so", "contradicted", 2 * lyingCount, 2 * lyingCount},
		{"the sender says that it sent more than was agreed", "contradicted", lyingCount, lyingCount + 200},
		// What never left and what was lost look alike.
		{"the sender says that it sent a fifth more than it did", "", lyingCount * 4 / 5, lyingCount},
	} {
		if err := p.sick(emulator.Impair{}, emulator.Impair{}); err != nil {
			return err
		}
		r, err := p.between(ctx, lyingSession(), func(ctx context.Context, here, there engine.Job) (netp.Result, error) {
			_, responder, err := engines(here.Kind)
			if err != nil {
				return netp.Result{}, err
			}
			honest := make(chan netp.Result, 1)
			go func() { honest <- responder.Respond(ctx, there) }()
			err = lyingSender(ctx, here, lie.sends, lie.says)
			ours := <-honest
			ours.Part = netp.Responder
			return netp.Merge(netp.Result{Part: netp.Initiator, Completed: true}, ours), err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", lie.name, err)
		}
		if err := t.verdict(true, lie.promise, contradicted(lie.promise), lie.name, "udp", spoken(r), r); err != nil {
			return err
		}
	}
	return nil
}

func lyingSession() session {
	return session{kind: "udp", params: netp.Params{"count": float64(lyingCount), "rate": "2000pps", "size": float64(dataSize), "timeout": 0.5}}
}

// lyingReceiver plays the receiver of one stream, which tells another tally than the true one, to the sender and in its part.
func lyingReceiver(ctx context.Context, job engine.Job, tell func(tally) tally) (netp.Result, error) {
	flow, err := job.Accept.AcceptUDP(ctx)
	if err != nil {
		return netp.Result{}, err
	}
	defer flow.Close()
	r := falseReceiver{flow: flow, sign: port.NewTagger(flow.SendKey), check: port.NewTagger(flow.ReceiveKey), state: reportReady}
	for told := 0; told < 5; {
		if r.state == reportDone {
			told++
		}
		if err := errors.Join(ctx.Err(), r.report(tell), r.read(50*time.Millisecond)); err != nil && r.state != reportDone {
			return netp.Result{}, err // afterwards the sender may have gone
		}
	}
	lie := tell(r.truth)
	lost := new(netp.Tally)
	for n := range lie.sent - min(lie.sent, lie.received) {
		lost.Hit(n)
	}
	return netp.Result{Part: netp.Responder, Completed: true, Metrics: map[string]netp.Measurement{
		"loss.ratio": {Ratio: lost.Hits(lie.sent)}, "loss.sent": netp.Value(float64(lie.sent)), "loss.received": netp.Value(float64(lie.received)),
	}}, nil
}

// States of reports and echoes, as the protocol has them.
const (
	reportReady, reportReceiving, reportDone, reportGone = 2, 3, 5, 6
	echoWaiting, echoSending, echoFinished               = 1, 2, 3
)

// falseReceiver is the receiver of a stream.
type falseReceiver struct {
	flow        *port.Flow
	sign, check *port.Tagger
	state       byte
	number      uint64 // of reports
	truth       tally
}

// report sends one; the tally is told at the end.
func (r *falseReceiver) report(tell func(tally) tally) error {
	r.number++
	b := make([]byte, controlSize)
	b[0], b[1], b[4], b[5] = 2, r.state, 1, 1
	binary.BigEndian.PutUint64(b[8:], r.number)
	binary.BigEndian.PutUint64(b[16:], uint64(time.Now().UnixNano()))
	if r.state == reportDone {
		lie := tell(r.truth)
		binary.BigEndian.PutUint64(b[24:], lie.received)
		binary.BigEndian.PutUint64(b[32:], lie.next)
		binary.BigEndian.PutUint64(b[64:], lie.sent)
	}
	r.sign.Seal(b)
	_, err := r.flow.Write(b)
	return err
}

// read takes what arrives for a while.
func (r *falseReceiver) read(d time.Duration) error {
	r.flow.SetReadDeadline(time.Now().Add(d))
	packet := make([]byte, 2048)
	for {
		n, err := r.flow.Read(packet)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
		switch p := packet[:n]; {
		case n >= 32 && p[0] == 1 && p[1] == 1:
			r.state = max(r.state, reportReceiving)
			r.truth.received++
			r.truth.next = max(r.truth.next, 1+binary.BigEndian.Uint64(append([]byte{0, 0}, p[10:16]...)))
		case n == controlSize && p[0] == 3 && p[1] >= echoFinished && r.check.Open(p):
			r.state, r.truth.sent = reportDone, binary.BigEndian.Uint64(p[48:])
		}
	}
}

// lyingSender plays the sender of one stream, which sends a number of packets and says another.
func lyingSender(ctx context.Context, job engine.Job, sends, says uint64) error {
	flow, err := job.Dialer.DialUDP(ctx, job.Peer, job.ID, job.Keys, port.Options{Role: 1})
	if err != nil {
		return err
	}
	defer flow.Close()
	key, err := hkdf.Expand(sha256.New, flow.SendKey[:], "netp udp v1 data way 1 stream 0", 16)
	if err != nil {
		return err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	s := falseSender{flow: flow, sign: port.NewTagger(flow.SendKey), block: block, state: echoWaiting, says: says}
	for peer := byte(0); peer != reportDone && peer != reportGone; {
		if peer, err = s.hear(); err != nil {
			return err
		}
		for range 4 {
			if s.state != echoSending {
				break
			}
			if err := s.data(sends); err != nil {
				return err
			}
		}
		if s.state == echoFinished {
			err = s.echo(0, 0)
		}
		if err := errors.Join(ctx.Err(), err); err != nil {
			return err
		}
	}
	return nil
}

// falseSender is the sender of a stream.
type falseSender struct {
	flow         *port.Flow
	sign         *port.Tagger
	block        cipher.Block
	state        byte
	sent, echoes uint64
	says         uint64 // that it has sent
}

// hear takes a report, answers it, and gives the receiver's state; 0 when none comes within a millisecond.
func (s *falseSender) hear() (state byte, err error) {
	s.flow.SetReadDeadline(time.Now().Add(time.Millisecond))
	report := make([]byte, 2048)
	n, err := s.flow.Read(report)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, nil
	}
	if err != nil || n != controlSize || report[0] != 2 {
		return 0, err
	}
	if report[1] >= reportReady && s.state == echoWaiting {
		s.state = echoSending
	}
	return report[1], s.echo(binary.BigEndian.Uint64(report[8:]), binary.BigEndian.Uint64(report[16:]))
}

// echo answers a report, or none.
func (s *falseSender) echo(answers, asked uint64) error {
	s.echoes++
	b, now := make([]byte, controlSize), uint64(time.Now().UnixNano())
	b[0], b[1], b[4] = 3, s.state, 1
	for at, v := range map[int]uint64{8: s.echoes, 16: answers, 24: asked, 32: now, 40: now} {
		binary.BigEndian.PutUint64(b[at:], v)
	}
	if s.state == echoFinished {
		binary.BigEndian.PutUint64(b[48:], s.says)
	}
	s.sign.Seal(b)
	_, err := s.flow.Write(b)
	return err
}

// data sends a packet, the last of so many too.
func (s *falseSender) data(sends uint64) error {
	b := make([]byte, dataSize)
	b[0], b[1] = 1, 1
	binary.BigEndian.PutUint64(b[8:], s.sent) // of which the first two bytes are the last of the time
	binary.BigEndian.PutUint64(b[2:], uint64(time.Now().UnixNano()))
	s.block.Encrypt(b[16:32], b[:16])
	if s.sent++; s.sent == sends {
		s.state = echoFinished
	}
	_, err := s.flow.Write(b)
	return err
}
