package wire

import (
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/netpupper/netp"
)

// Subjects. An agent publishes below netp.a.<id>. and receives below
// netp.c.<id>. and nothing else, so the bus can hold it to its own name.
const (
	fromAgent = "netp.a."
	toAgent   = "netp.c."

	helloLeaf    = "hello"    // a → c, request: Hello, answered by a signed Welcome
	progressLeaf = "progress" // a → c: netp.Progress, may be lost
	partLeaf     = "part"     // a → c: a part, queued by the bus
	orderLeaf    = "order"    // c → a, request: signed Order, answered by Reply
	confirmLeaf  = "confirm"  // c → a: signed Confirmation
	inboxLeaf    = "inbox"    // c → a: answers to the agent's requests, one level below
)

// PartSubjects matches the parts of all agents: what the results queue takes in.
const PartSubjects = fromAgent + "*." + partLeaf

func agentSubject(id netp.AgentID, leaf string) string { return fromAgent + Token(id) + "." + leaf }

func controllerSubject(id netp.AgentID, leaf string) string {
	return toAgent + Token(id) + "." + leaf
}

// Token writes an agent's name as one NATS token: letters, digits, '-' and '_'
// stand for themselves, every other byte is '=' and two hexadecimal digits. Two
// names never share a token.
func Token(id netp.AgentID) string {
	if id == "" {
		return "=" // no name encodes to it
	}
	var b strings.Builder
	for i := range len(id) {
		if c := id[i]; plain(c) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "=%02X", c)
		}
	}
	return b.String()
}

func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// ParseToken is the inverse of Token.
func ParseToken(token string) (netp.AgentID, error) {
	var b strings.Builder
	for i := 0; i < len(token); i++ {
		if c := token[i]; plain(c) {
			b.WriteByte(c)
			continue
		}
		var c byte
		if i+3 > len(token) {
			return "", fmt.Errorf("agent token %q is cut short", token)
		}
		if n, err := fmt.Sscanf(token[i:i+3], "=%02X", &c); n != 1 || err != nil {
			return "", fmt.Errorf("agent token %q has a malformed escape", token)
		}
		b.WriteByte(c)
		i += 2
	}
	id := netp.AgentID(b.String())
	if Token(id) != token {
		return "", fmt.Errorf("agent token %q is not canonical", token)
	}
	return id, nil
}

// answerable says whether an agent's request may be answered on a subject: a
// controller may publish anywhere, so an agent must not choose where.
func answerable(id netp.AgentID, reply string) bool {
	return strings.HasPrefix(reply, controllerSubject(id, inboxLeaf)+".") || strings.HasPrefix(reply, nats.InboxPrefix)
}

// PartSender reads from the subject of a part which agent published it.
func PartSender(subject string) (netp.AgentID, error) { return sender(subject, partLeaf) }

// sender reads the agent out of netp.a.<id>.<leaf>.
func sender(subject, leaf string) (netp.AgentID, error) {
	rest, ok := strings.CutPrefix(subject, fromAgent)
	token, found := strings.CutSuffix(rest, "."+leaf)
	if !ok || !found {
		return "", fmt.Errorf("subject %q is not of the form %s<agent>.%s", subject, fromAgent, leaf)
	}
	return ParseToken(token)
}
