package wire

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/netpupper/netp"
)

// Enrolment is the one exchange that is not on the bus, for it is what lets an
// agent onto the bus: HTTPS with TLS 1.3, and the controller's key pinned by the
// token, so that there is no trust on first use.
const (
	// EnrolPath takes an Enrolment with a token; RenewPath one without, from an agent
	// that shows its certificate. Both answer with a Membership or a Refusal.
	EnrolPath = "/api/v1/enrol"
	RenewPath = "/api/v1/renew"
	// MaxEnrolment bounds the body of either [B].
	MaxEnrolment = 64 << 10
	// ControllerName is the name in every controller's certificate, whatever the
	// address it is reached by.
	ControllerName = "controller.netp.internal"
)

// Enrolment is what an agent asks of the controller.
type Enrolment struct {
	Name netp.AgentID `json:"name,omitempty"`
	// Secret is the token's; empty for a renewal.
	Secret []byte `json:"secret,omitempty"`
	// Request is a PKCS #10 certificate request (DER), signed by the agent's own
	// key. Only its key counts.
	Request []byte `json:"request,omitempty"`
}

// Membership is what an agent has once it is let in.
type Membership struct {
	Name        netp.AgentID `json:"name"`
	Certificate []byte       `json:"certificate"` // DER
	CA          []byte       `json:"ca"`          // DER
	OrderKey    []byte       `json:"order_key"`   // Ed25519, the only key whose orders are obeyed
	// Bus and Controllers are addresses, HOST:PORT, to be tried in turn.
	Bus         []string `json:"bus"`
	Controllers []string `json:"controllers"`
}

// Refusal is the body of every answer that is no success, as of all others of the controller's API.
type Refusal struct {
	Code   string `json:"error"`  // a word to branch on
	Detail string `json:"detail"` // what is wrong and what to do, in full sentences
}

// maxName is the longest name of an agent [B].
const maxName = 63

var agentName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$`)

// CheckName says why an agent cannot have the name; nil when it can.
func CheckName(id netp.AgentID) error {
	if len(id) <= maxName && agentName.MatchString(string(id)) {
		return nil
	}
	return fmt.Errorf("%q is no name for an agent: a name has letters, digits, _, - and ., at most 63, and neither begins nor ends with a dot or hyphen", id)
}

// agentURI is how a certificate names its agent (a SPIFFE id).
const agentURI = "spiffe://netp/agent/"

// AgentURI is the name of an agent in its certificate.
func AgentURI(id netp.AgentID) *url.URL {
	u, err := url.Parse(agentURI + Token(id))
	if err != nil { // a token has no byte that a URL could not
		panic(err)
	}
	return u
}

// CertificateAgent reads from a certificate which agent it is for. Whether the
// certificate is good is the caller's to check.
func CertificateAgent(c *x509.Certificate) (netp.AgentID, error) {
	if len(c.URIs) != 1 {
		return "", errors.New("the certificate names no agent")
	}
	token, ok := strings.CutPrefix(c.URIs[0].String(), agentURI)
	if !ok {
		return "", errors.New("the certificate names no agent")
	}
	return ParseToken(token)
}

// AgentSubjects lists what an agent may publish and what it may subscribe to.
func AgentSubjects(id netp.AgentID) (publish, subscribe string) {
	return fromAgent + Token(id) + ".>", toAgent + Token(id) + ".>"
}

// Pin is the SHA-256 of a public key (SubjectPublicKeyInfo).
type Pin [sha256.Size]byte

// PinOf is the pin of a certificate's key.
func PinOf(c *x509.Certificate) Pin { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }

// ErrPin is the error of a connection to somebody who is not the controller.
var ErrPin = errors.New("this is not the controller that made the token: its key is another one; is somebody between, or is the address wrong?")

// ErrClock is the error of a connection to a controller whose certificate is for
// another time than it is here.
var ErrClock = errors.New("the clocks of this host and of the controller differ too much")

// PinnedTLS trusts the controller whose authority has the pin, and nobody else.
func PinnedTLS(pin Pin) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		ServerName: ControllerName,
		// The standard check knows no pins; VerifyConnection is the whole check.
		InsecureSkipVerify: true,
		VerifyConnection:   func(state tls.ConnectionState) error { return verifyPinned(pin, state.PeerCertificates) },
	}
}

func verifyPinned(pin Pin, chain []*x509.Certificate) error {
	roots := x509.NewCertPool()
	found := false
	for _, c := range chain {
		if c.IsCA && PinOf(c) == pin {
			roots.AddCert(c)
			found = true
		}
	}
	if !found {
		return ErrPin
	}
	now := time.Now()
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, DNSName: ControllerName, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, CurrentTime: now})
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return clockFault(invalid.Cert, now)
	}
	return err
}

// clockFault says what to compare. Two right clocks do not help where a wrong one made
// the authority: the controller's log has the remedy then.
func clockFault(c *x509.Certificate, now time.Time) error {
	at := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	what, more := "certificate", ""
	if c.IsCA {
		what, more = "authority", ", and if they agree read what the controller logged when it started"
	}
	return fmt.Errorf("%w: the controller's %s is good from %s to %s, and it is %s here; compare the two clocks%s",
		ErrClock, what, at(c.NotBefore), at(c.NotAfter), at(now), more)
}

// SecretSize is the size of a token's secret [B].
const SecretSize = 32

// JoinToken lets one agent in, once.
type JoinToken struct {
	Controllers []string // HOST:PORT of the controller's HTTPS, to be tried in turn
	Pin         Pin
	Secret      []byte
}

const (
	joinPrefix   = "netp-join_"
	adminPrefix  = "netp_"
	checksumSize = 4
)

// joinToken is the JSON inside a token.
type joinToken struct {
	Controllers []string `json:"c"`
	Pin         []byte   `json:"p"`
	Secret      []byte   `json:"s"`
}

// String writes the token as one word. It holds the secret.
func (t JoinToken) String() string {
	data, err := json.Marshal(joinToken{t.Controllers, t.Pin[:], t.Secret})
	if err != nil { // strings and bytes only
		panic(err)
	}
	sum := sha256.Sum256(data)
	return joinPrefix + base64.RawURLEncoding.EncodeToString(append(data, sum[:checksumSize]...))
}

// ParseJoinToken reads what JoinToken.String wrote. The error says what is wrong
// with the word, but never repeats it.
func ParseJoinToken(word string) (JoinToken, error) {
	var t JoinToken
	text, ok := strings.CutPrefix(strings.TrimSpace(word), joinPrefix)
	if !ok {
		return t, fmt.Errorf("this is no join token: one begins with %s; netp agents token prints one", joinPrefix)
	}
	cut := errors.New("the join token is cut short or mistyped: copy the whole of it")
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(data) < checksumSize {
		return t, cut
	}
	data, given := data[:len(data)-checksumSize], data[len(data)-checksumSize:]
	sum := sha256.Sum256(data)
	var j joinToken
	if !bytes.Equal(sum[:checksumSize], given) || json.Unmarshal(data, &j) != nil ||
		len(j.Pin) != len(t.Pin) || len(j.Secret) != SecretSize || len(j.Controllers) == 0 {
		return t, cut
	}
	return JoinToken{Controllers: j.Controllers, Pin: Pin(j.Pin), Secret: j.Secret}, nil
}

// AccessToken is the right to use a controller's API: the admin token, or a role
// token. It holds the controller's pin, so that nothing else is needed to speak to
// it safely.
type AccessToken struct {
	Pin    Pin
	Secret []byte
}

func letters() *base32.Encoding {
	return base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
}

// String writes the token as netp_<pin>_<secret>. It holds the secret.
func (t AccessToken) String() string {
	return adminPrefix + letters().EncodeToString(t.Pin[:]) + "_" + letters().EncodeToString(t.Secret)
}

// ParseAccessToken reads what AccessToken.String wrote. The error never repeats it.
func ParseAccessToken(word string) (AccessToken, error) {
	text, ok := strings.CutPrefix(strings.TrimSpace(word), adminPrefix)
	pin, secret, both := strings.Cut(text, "_")
	p, err := letters().DecodeString(pin)
	s, err2 := letters().DecodeString(secret)
	if !ok || !both || err != nil || err2 != nil || len(p) != len(Pin{}) || len(s) != SecretSize {
		return AccessToken{}, errors.New("this is no token for a controller, or it is cut short: it has the form netp_<pin>_<secret>, as netp tokens create prints it and the file admin.token of the controller's data directory holds it")
	}
	return AccessToken{Pin: Pin(p), Secret: s}, nil
}
