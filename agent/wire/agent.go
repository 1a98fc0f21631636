package wire

import (
	"context"
	"crypto/ed25519"
	"fmt"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"github.com/netpupper/netp"
)

// Agent is the agent's end of the protocol. It may be used concurrently.
type Agent struct {
	conn *Conn
	id   netp.AgentID
	key  ed25519.PublicKey
}

// NewAgent speaks for the agent id over conn, and listens to the controller with
// the given key only. The caller closes conn.
func NewAgent(conn *Conn, id netp.AgentID, key ed25519.PublicKey) *Agent {
	return &Agent{conn: conn, id: id, key: key}
}

// AgentHandlers are what an agent does with what it hears.
type AgentHandlers struct {
	// Order answers an order that the controller signed; whether it is valid here
	// and now is the handler's to check. It is called concurrently and should
	// answer within a second.
	Order func(Order) Reply
	// Confirmed hears which parts the store has. Calls do not overlap.
	Confirmed func([]PartKey)
	// Reconnected is called each time the connection came back; it must not block.
	Reconnected func()
	// Rejected hears of messages that are not what they should be; it must not block.
	Rejected func(error)
}

// maxOrders is how many orders are worked on at a time; more wait on the bus.
const maxOrders = 64

// Serve hears orders and confirmations until ctx is done, and returns when the
// orders being answered are.
func (a *Agent) Serve(ctx context.Context, h AgentHandlers) error {
	a.conn.nats.SetReconnectHandler(func(*nats.Conn) { h.Reconnected() })
	var orders errgroup.Group
	orders.SetLimit(maxOrders)
	orderSub, err := a.conn.nats.Subscribe(controllerSubject(a.id, orderLeaf), func(m *nats.Msg) {
		orders.Go(func() error { a.answer(m, h); return nil })
	})
	if err != nil {
		return fmt.Errorf("listen for orders: %w", err)
	}
	defer orders.Wait()
	defer orderSub.Unsubscribe()
	confirmSub, err := a.conn.nats.Subscribe(controllerSubject(a.id, confirmLeaf), func(m *nats.Msg) {
		var c Confirmation
		err := open(a.key, confirmContext, m.Data, &c)
		if err == nil && c.Audience != a.id {
			err = fmt.Errorf("the confirmation is for agent %q", c.Audience)
		}
		if err != nil {
			h.Rejected(fmt.Errorf("confirmation: %w", err))
			return
		}
		h.Confirmed(c.Parts)
	})
	if err != nil {
		return fmt.Errorf("listen for confirmations: %w", err)
	}
	defer confirmSub.Unsubscribe()
	<-ctx.Done()
	return nil
}

func (a *Agent) answer(m *nats.Msg, h AgentHandlers) {
	order, err := OpenOrder(a.key, m.Data)
	if err != nil {
		h.Rejected(fmt.Errorf("order: %w", err))
		return // an unsigned order gets no answer
	}
	data, err := Encode(h.Order(order))
	if err == nil {
		err = m.Respond(data)
	}
	if err != nil {
		h.Rejected(fmt.Errorf("answer order: %w", err))
	}
}

// Refused is the controller's no to a hello.
type Refused struct{ Reason string }

// Error is the controller's sentence.
func (r *Refused) Error() string { return "the controller refused this agent: " + r.Reason }

// Hello announces the agent and returns the controller's welcome. It returns
// *Refused when the controller says no, ErrAbsent when there is none, the error
// of ctx when none answered, ErrSignature when somebody else did.
func (a *Agent) Hello(ctx context.Context, h Hello) (Welcome, error) {
	var w Welcome
	data, err := Encode(h)
	if err != nil {
		return w, err
	}
	m, err := a.conn.nats.RequestWithContext(ctx, agentSubject(a.id, helloLeaf), data)
	if err != nil {
		return w, fmt.Errorf("announce: %w", requestError(err))
	}
	if err := open(a.key, welcomeContext, m.Data, &w); err != nil {
		return w, fmt.Errorf("announce: %w", err)
	}
	if w.Audience != a.id || w.Incarnation != h.Incarnation || !w.HelloSent.Equal(h.Sent) {
		return w, fmt.Errorf("announce: the answer is for another hello")
	}
	if w.Refused != "" {
		return w, &Refused{Reason: w.Refused}
	}
	return w, nil
}

// Progress publishes a sign of life; it may get lost.
func (a *Agent) Progress(p netp.Progress) {
	if data, err := Encode(p); err == nil {
		a.conn.nats.Publish(agentSubject(a.id, progressLeaf), data)
	}
}

// Part publishes a part as EncodePart made it. That the bus took it means
// nothing yet: the agent keeps the part until it is confirmed.
func (a *Agent) Part(data []byte) error {
	if err := a.conn.nats.Publish(agentSubject(a.id, partLeaf), data); err != nil {
		return fmt.Errorf("publish part: %w", err)
	}
	return nil
}
