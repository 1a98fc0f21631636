package wire

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/netpupper/netp"
)

// Controller is the controller's end of the protocol. It may be used concurrently.
type Controller struct {
	conn *Conn
	key  ed25519.PrivateKey
}

// NewController speaks to agents over conn, signing with the key. The caller closes conn.
func NewController(conn *Conn, key ed25519.PrivateKey) *Controller {
	return &Controller{conn: conn, key: key}
}

// ControllerHandlers are what a controller does with what it hears. Calls of one
// handler do not overlap, and none may block for long.
type ControllerHandlers struct {
	// Hello answers an agent's announcement. The agent's name is the one the bus
	// let it publish under; Audience, Incarnation and HelloSent of the Welcome are filled in.
	Hello func(Hello) Welcome
	// Progress hears signs of life.
	Progress func(netp.Progress)
	// Rejected hears of messages that are not what they should be.
	Rejected func(error)
}

// Serve hears hellos and progress until ctx is done.
func (c *Controller) Serve(ctx context.Context, h ControllerHandlers) error {
	hellos, err := c.conn.nats.Subscribe(fromAgent+"*."+helloLeaf, func(m *nats.Msg) {
		if err := c.welcome(m, h.Hello); err != nil {
			h.Rejected(fmt.Errorf("hello: %w", err))
		}
	})
	if err != nil {
		return fmt.Errorf("listen for agents: %w", err)
	}
	defer hellos.Unsubscribe()
	progress, err := c.conn.nats.Subscribe(fromAgent+"*."+progressLeaf, func(m *nats.Msg) {
		var p netp.Progress
		id, err := sender(m.Subject, progressLeaf)
		if err == nil {
			err = Decode(m.Data, &p)
		}
		if err != nil {
			h.Rejected(fmt.Errorf("progress: %w", err))
			return
		}
		p.Agent = id
		h.Progress(p)
	})
	if err != nil {
		return fmt.Errorf("listen for progress: %w", err)
	}
	defer progress.Unsubscribe()
	<-ctx.Done()
	return nil
}

func (c *Controller) welcome(m *nats.Msg, answer func(Hello) Welcome) error {
	id, err := sender(m.Subject, helloLeaf)
	if err != nil {
		return err
	}
	var h Hello
	if err := Decode(m.Data, &h); err != nil {
		return err
	}
	if h.Agent.Name != id {
		return fmt.Errorf("agent %q announced itself as %q", id, h.Agent.Name)
	}
	if m.Reply != "" && !answerable(id, m.Reply) {
		return fmt.Errorf("agent %q wants its answer on %q, which is not its own", id, m.Reply)
	}
	w := answer(h)
	w.Audience, w.Incarnation, w.HelloSent = id, h.Incarnation, h.Sent
	data, err := sign(c.key, welcomeContext, w)
	if err != nil {
		return err
	}
	if m.Reply == "" {
		return nil // a goodbye waits for no answer
	}
	return m.Respond(data)
}

const (
	// orderTry is how long one try of an order waits for its answer. Orders are
	// idempotent at the agent, so a lost answer costs another try, not a session.
	orderTry = 2 * time.Second
	// absentPause is the pause before another try while the agent is not on the bus:
	// its connection may be on its way back.
	absentPause = 200 * time.Millisecond
)

// Order signs an order and returns the agent's answer. It tries until ctx is done,
// which therefore must have a deadline, and then returns ErrAbsent if the agent
// was not on the bus, or the error of ctx if it did not answer.
func (c *Controller) Order(ctx context.Context, o Order) (Reply, error) {
	var r Reply
	data, err := SignOrder(c.key, o)
	if err != nil {
		return r, err
	}
	for {
		m, err := c.request(ctx, controllerSubject(o.Audience, orderLeaf), data)
		if err != nil {
			if again(ctx, err) {
				continue
			}
			return r, fmt.Errorf("order %s to %s: %w", o.Type, o.Audience, requestError(err))
		}
		err = Decode(m.Data, &r)
		if err == nil && !r.Accepted && r.Failure == nil {
			err = errors.New("refused without a reason")
		}
		return r, err
	}
}

// again says whether a request is worth another try, after a pause if it needs one.
func again(ctx context.Context, err error) bool {
	if errors.Is(err, nats.ErrNoResponders) {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(absentPause):
			return true
		}
	}
	return errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil
}

func (c *Controller) request(ctx context.Context, subject string, data []byte) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, orderTry)
	defer cancel()
	return c.conn.nats.RequestWithContext(ctx, subject, data)
}

// Confirm tells an agent that the store has committed the parts.
func (c *Controller) Confirm(id netp.AgentID, parts []PartKey) error {
	data, err := sign(c.key, confirmContext, Confirmation{Audience: id, Parts: parts})
	if err != nil {
		return err
	}
	return c.conn.nats.Publish(controllerSubject(id, confirmLeaf), data)
}
