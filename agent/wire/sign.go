package wire

import (
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/quantity"
)

// Signed is a message with the controller's Ed25519ctx signature (RFC 8032 §5.1)
// over Payload. The context names the kind of message, so that a signature for
// one kind is none for another.
type Signed struct {
	Payload   []byte `json:"payload"`
	Signature []byte `json:"signature"`
}

// Signature contexts. They are part of the protocol.
const (
	orderContext   = "netp order v1"
	welcomeContext = "netp welcome v1"
	confirmContext = "netp confirmation v1"
)

// ErrSignature is returned for a message that the expected controller did not sign.
var ErrSignature = errors.New("the signature is not this controller's")

func sign(key ed25519.PrivateKey, context string, message any) ([]byte, error) {
	payload, err := Encode(message)
	if err != nil {
		return nil, err
	}
	signature, err := key.Sign(nil, payload, &ed25519.Options{Hash: crypto.Hash(0), Context: context})
	if err != nil {
		return nil, fmt.Errorf("sign %T: %w", message, err)
	}
	return Encode(Signed{Payload: payload, Signature: signature})
}

// open checks the signature and only then reads the message.
func open(key ed25519.PublicKey, context string, data []byte, message any) error {
	var s Signed
	if err := Decode(data, &s); err != nil {
		return err
	}
	if len(key) != ed25519.PublicKeySize ||
		ed25519.VerifyWithOptions(key, s.Payload, s.Signature, &ed25519.Options{Context: context}) != nil {
		return ErrSignature
	}
	return Decode(s.Payload, message)
}

// SignOrder seals an order with the controller's key.
func SignOrder(key ed25519.PrivateKey, o Order) ([]byte, error) { return sign(key, orderContext, o) }

// OpenOrder reads an order if the controller signed it, else gives ErrSignature.
// Whether the order is for this agent, and in time, is Bounds.Check's to say.
func OpenOrder(key ed25519.PublicKey, data []byte) (Order, error) {
	var o Order
	err := open(key, orderContext, data, &o)
	return o, err
}

// Bounds is what an agent holds an order against.
type Bounds struct {
	Audience    netp.AgentID
	Incarnation string
	Epoch       uint64 // the highest seen
	Now         time.Time
	// Slack is how far the two clocks may be apart.
	Slack time.Duration
}

// maxHorizon bounds how far ahead a hard end may be: longer sessions do not exist. They send for a week, or longer where chance spaces
// few packets far apart.
const maxHorizon = 14 * 24 * time.Hour

// Check says in a sentence why the order is not valid here and now; nil when it is.
func (b Bounds) Check(o Order) error {
	switch {
	case o.Version < MinVersion || o.Version > MaxVersion:
		return fmt.Errorf("the order is of protocol version %d, this agent speaks %d to %d", o.Version, MinVersion, MaxVersion)
	case o.Audience != b.Audience:
		return fmt.Errorf("the order is for agent %q, this is %q", o.Audience, b.Audience)
	case o.Incarnation != b.Incarnation:
		return errors.New("the order is for an earlier start of this agent")
	case o.Epoch < b.Epoch:
		return fmt.Errorf("the order is of epoch %d, but a controller of epoch %d has taken over", o.Epoch, b.Epoch)
	case b.Now.Add(b.Slack).Before(o.NotBefore):
		return fmt.Errorf("the order is valid from %s, and it is %s: compare the clocks of agent and controller",
			o.NotBefore.UTC().Format(time.RFC3339), b.Now.UTC().Format(time.RFC3339))
	case !b.Now.Before(o.NotAfter):
		return fmt.Errorf("the order ended at %s, and it is %s: compare the clocks of agent and controller",
			o.NotAfter.UTC().Format(time.RFC3339), b.Now.UTC().Format(time.RFC3339))
	case o.NotAfter.Sub(b.Now) > maxHorizon:
		return fmt.Errorf("the hard end %s is more than %s ahead", o.NotAfter.UTC().Format(time.RFC3339), quantity.Duration(maxHorizon))
	}
	return nil
}
