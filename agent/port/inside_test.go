package port

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

func someKeys(id SessionID) Keys {
	secret := make([]byte, 32)
	rand.Read(secret)
	return DeriveKeys(secret, id)
}

// invite opens a port for a responder that opens the path, and starts that one.
func invite(t *testing.T, p *Port, invited, visiting Keys) (Dialer, *Visit, <-chan error) {
	t.Helper()
	until := time.Now().Add(time.Minute)
	i, err := p.Invite(Expectation{ID: 1, Keys: invited, Until: until})
	if err != nil {
		t.Fatal(err)
	}
	v := NewVisit(Dialer{}, p.Addr(), Expectation{ID: 1, Keys: visiting, Until: until})
	ended, ctx := make(chan error, 1), deadlined(t)
	ctx, stop := context.WithCancel(ctx)
	go func() { ended <- v.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		i.Close()
		v.Session.Close()
	})
	return Dialer{Inward: i}, v, ended
}

// TestPathFromTheInside opens flows and connections by the responder: each end gets
// those it asked for, with the keys it would have had, and bytes go both ways.
func TestPathFromTheInside(t *testing.T) {
	variants(t, func(t *testing.T, p *Port) {
		keys := someKeys(1)
		d, v, ended := invite(t, p, keys, keys)
		var group errgroup.Group
		ctx := deadlined(t)
		const streams = 20
		for n := range uint16(streams) {
			o := Options{Stream: n, Role: uint8(n % 3), DSCP: 10}
			group.Go(func() error {
				f, err := d.DialUDP(ctx, p.Addr(), 1, keys, o)
				if err != nil {
					return err
				}
				defer f.Close()
				if f.Stream != o.Stream || f.Role != o.Role || f.SendKey != keys.Initiator || f.ReceiveKey != keys.Responder {
					return fmt.Errorf("asked for %+v, got stream %d, role %d, or the wrong keys", o, f.Stream, f.Role)
				}
				return sayUDP(f, byte(n))
			})
			group.Go(func() error {
				c, err := d.DialTCP(ctx, p.Addr(), 1, keys, o)
				if err != nil {
					return err
				}
				defer c.Close()
				if c.Stream != o.Stream || c.Role != o.Role || c.SendKey != keys.Initiator || c.ReceiveKey != keys.Responder {
					return fmt.Errorf("asked for %+v, got stream %d, role %d, or the wrong keys", o, c.Stream, c.Role)
				}
				return say(c, byte(n))
			})
			group.Go(func() error {
				f, err := v.Session.AcceptUDP(ctx)
				if err != nil {
					return err
				}
				defer f.Close()
				if f.SendKey != keys.Responder || f.ReceiveKey != keys.Initiator {
					return errors.New("the responder's keys are wrong")
				}
				return parrot(f)
			})
			group.Go(func() error {
				c, err := v.Session.AcceptTCP(ctx)
				if err != nil {
					return err
				}
				defer c.Close()
				return parrot(c)
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		d.Inward.Close()
		if err := <-ended; err != nil {
			t.Errorf("the visit ended with %v", err)
		}
	})
}

// readWriter is what both flows and connections are.
type readWriter interface {
	Read([]byte) (int, error)
	Write([]byte) (int, error)
}

func say(c readWriter, b byte) error {
	if _, err := c.Write([]byte{b}); err != nil {
		return err
	}
	answer := make([]byte, 100)
	n, err := c.Read(answer)
	if err == nil && (n != 1 || answer[0] != b) {
		err = fmt.Errorf("said %d, heard %v", b, answer[:n])
	}
	return err
}

func sayUDP(f *Flow, b byte) error {
	if err := f.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	return say(f, b)
}

func parrot(c readWriter) error {
	b := make([]byte, 100)
	n, err := c.Read(b)
	if err != nil {
		return err
	}
	_, err = c.Write(b[:n])
	return err
}

// TestInvitationIsMute: who has not the key gets no answer, and the initiator says
// that nobody came.
func TestInvitationIsMute(t *testing.T) {
	variants(t, func(t *testing.T, p *Port) {
		d, _, ended := invite(t, p, someKeys(1), someKeys(1))
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, err := d.DialUDP(ctx, p.Addr(), 1, Keys{}, Options{})
		if u := new(Unreachable); !errors.As(err, &u) || u.Cause != Unopened {
			t.Errorf("the initiator, whom nobody reaches: %v", err)
		}
		if u := new(Unreachable); !errors.As(<-ended, &u) || u.Cause != Rejected {
			t.Errorf("the visitor with another key: %v", u)
		}
		if s := p.Stats(); s.Answers != 0 || s.BadTag == 0 {
			t.Errorf("stats are %+v", s)
		}
		// The initiator's own key does not open its port: a hello of its own, played back, is none.
		keys := someKeys(2)
		i, err := p.Invite(Expectation{ID: 2, Keys: keys, Until: time.Now().Add(time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		defer i.Close()
		ctx, cancel = context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if _, err := (Dialer{}).DialTCP(ctx, p.Addr(), 2, keys, Options{Stream: bellStream, Role: bellRole}); err == nil {
			t.Error("the keys that are not changed over rang the bell")
		}
	})
}

// TestVisitOpensNothingUnproven: requests that are forged, altered or repeated open
// nothing.
func TestVisitOpensNothingUnproven(t *testing.T) {
	keys := someKeys(1)
	good := setup{kind: kindOpen, network: overUDP, session: 1, stream: 3}
	rand.Read(good.nonce[:])
	other := good
	other.session = 2
	for name, c := range map[string]struct {
		requests [][setupSize]byte
		opened   uint64
	}{
		"proven":          {[][setupSize]byte{good.encode(NewTagger(keys.Initiator))}, 1},
		"repeated":        {[][setupSize]byte{good.encode(NewTagger(keys.Initiator)), good.encode(NewTagger(keys.Initiator))}, 1},
		"its own key":     {[][setupSize]byte{good.encode(NewTagger(keys.Responder))}, 0},
		"no key":          {[][setupSize]byte{good.encode(NewTagger([32]byte{}))}, 0},
		"another session": {[][setupSize]byte{other.encode(NewTagger(keys.Initiator))}, 0},
		"noise":           {[][setupSize]byte{{1, 2, 3}}, 0},
	} {
		p := listen(t, Config{Where: Where{Address: loopback}})
		s, err := p.Expect(Expectation{ID: 1, Keys: keys.changedOver(), Until: time.Now().Add(time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		v := NewVisit(Dialer{}, p.Addr(), Expectation{ID: 1, Keys: keys, Until: time.Now().Add(time.Minute)})
		ended := make(chan error, 1)
		go func() { ended <- v.Run(deadlined(t)) }()
		bell, err := s.AcceptTCP(deadlined(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range c.requests {
			if _, err := bell.Write(r[:]); err != nil && !errors.Is(err, net.ErrClosed) {
				break // it hung up at the one before
			}
		}
		if c.opened > 0 {
			if f, err := v.Session.AcceptUDP(deadlined(t)); err != nil || f.Stream != 3 {
				t.Errorf("%s: %+v, %v", name, f, err)
			}
		}
		bell.CloseWrite()
		if err := <-ended; err != nil {
			t.Errorf("%s: the visit ended with %v", name, err)
		}
		if got := p.Stats().AcceptedUDP; got != c.opened {
			t.Errorf("%s: %d flows opened, want %d", name, got, c.opened)
		}
		v.Session.Close()
		s.Close()
	}
}
