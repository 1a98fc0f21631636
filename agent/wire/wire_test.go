package wire

import (
	"bytes"
	"compress/gzip"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/netpupper/netp"
)

func TestTokenIsInjectiveAndSafe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := netp.AgentID(rapid.StringN(1, 40, 80).Draw(t, "id"))
		token := Token(id)
		if strings.ContainsAny(token, ".*> \t\r\n") || token == "" {
			t.Fatalf("Token(%q) = %q is no NATS token", id, token)
		}
		back, err := ParseToken(token)
		if err != nil || back != id {
			t.Fatalf("ParseToken(Token(%q)) = %q, %v", id, back, err)
		}
	})
}

func TestParseTokenRefusesWhatTokenNeverWrites(t *testing.T) {
	for _, token := range []string{"=", "=4", "=zz", "=41", "=2e", "a.b", "a*"} {
		if id, err := ParseToken(token); err == nil {
			t.Errorf("ParseToken(%q) = %q, want an error", token, id)
		}
	}
}

func TestNegotiate(t *testing.T) {
	for _, c := range []struct{ low, high, want int }{
		{1, 1, 1}, {1, 9, MaxVersion}, {0, 1, 1}, {2, 9, 0}, {0, 0, 0},
	} {
		got, err := Negotiate(c.low, c.high)
		if got != c.want || (err == nil) != (c.want != 0) {
			t.Errorf("Negotiate(%d, %d) = %d, %v, want %d", c.low, c.high, got, err, c.want)
		}
	}
}

func keys(t *testing.T) (ed25519.PublicKey, ed25519.PrivateKey) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return public, private
}

func TestSignatureBindsEveryByteAndTheKind(t *testing.T) {
	public, private := keys(t)
	sealed, err := SignOrder(private, Order{Version: 1, Type: Start, Audience: "syd", Run: "r"})
	if err != nil {
		t.Fatal(err)
	}
	if o, err := OpenOrder(public, sealed); err != nil || o.Audience != "syd" {
		t.Fatalf("OpenOrder = %+v, %v", o, err)
	}
	var s Signed
	if err := json.Unmarshal(sealed, &s); err != nil {
		t.Fatal(err)
	}
	for i := range s.Payload {
		s.Payload[i] ^= 1
		forged, _ := json.Marshal(s)
		if _, err := OpenOrder(public, forged); !errors.Is(err, ErrSignature) {
			t.Fatalf("byte %d flipped: %v, want ErrSignature", i, err)
		}
		s.Payload[i] ^= 1
	}
	var w Welcome
	if err := open(public, welcomeContext, sealed, &w); !errors.Is(err, ErrSignature) {
		t.Errorf("an order read as a welcome: %v, want ErrSignature", err)
	}
	stranger, _ := keys(t)
	if _, err := OpenOrder(stranger, sealed); !errors.Is(err, ErrSignature) {
		t.Errorf("another controller's order: %v, want ErrSignature", err)
	}
	if _, err := OpenOrder(nil, sealed); !errors.Is(err, ErrSignature) {
		t.Errorf("no key: %v, want ErrSignature", err)
	}
}

func TestBounds(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	bounds := Bounds{Audience: "syd", Incarnation: "i1", Epoch: 3, Now: now, Slack: 2 * time.Second}
	good := Order{Version: 1, Audience: "syd", Incarnation: "i1", Epoch: 3, NotBefore: now, NotAfter: now.Add(time.Minute)}
	for _, c := range []struct {
		name   string
		change func(*Order)
		want   string
	}{
		{"valid", func(o *Order) {}, ""},
		{"newer epoch", func(o *Order) { o.Epoch = 4 }, ""},
		{"within slack", func(o *Order) { o.NotBefore = now.Add(time.Second) }, ""},
		{"version", func(o *Order) { o.Version = 2 }, "protocol version 2"},
		{"audience", func(o *Order) { o.Audience = "mel" }, `for agent "mel"`},
		{"incarnation", func(o *Order) { o.Incarnation = "i0" }, "earlier start"},
		{"epoch", func(o *Order) { o.Epoch = 2 }, "epoch 2"},
		{"too early", func(o *Order) { o.NotBefore = now.Add(3 * time.Second) }, "valid from"},
		{"too late", func(o *Order) { o.NotAfter = now }, "ended at"},
		{"endless", func(o *Order) { o.NotAfter = now.Add(15 * 24 * time.Hour) }, "ahead"},
	} {
		o := good
		c.change(&o)
		err := bounds.Check(o)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func part() netp.Result {
	d := netp.NewDistribution(1e-9)
	for i := range 1000 {
		d.Record(int64(i) * 1000)
	}
	return netp.Result{Run: "r", Session: "s", Attempt: 1, Part: netp.Initiator,
		Metrics: map[string]netp.Measurement{"rtt": {Distribution: d}, "loss.ratio": {Ratio: &netp.Ratio{Events: 1, Trials: 1000}}}}
}

func TestPartSurvives(t *testing.T) {
	data, err := EncodePart(part())
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodePart(data)
	if err != nil {
		t.Fatal(err)
	}
	if n := got.Metrics["rtt"].Distribution.All.Count(); n != 1000 {
		t.Errorf("%d samples after the journey, want 1000", n)
	}
}

func TestPartTooLargeLosesItsSeriesNotItsMetrics(t *testing.T) {
	r := part()
	for i := range 600 {
		values := map[string]float64{}
		for j := range 200 {
			values[strings.Repeat("x", 8)+string(rune('a'+j%26))+string(rune('a'+j/26))] = math.Sqrt(float64(i*200 + j))
		}
		r.Intervals = append(r.Intervals, netp.Interval{Values: values})
	}
	data, err := EncodePart(r)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodePart(data)
	if err != nil || len(got.Intervals) != 0 || got.Facts["intervals"] == "" || len(got.Metrics) != 2 {
		t.Errorf("got %d intervals, facts %v, %d metrics, %v", len(got.Intervals), got.Facts, len(got.Metrics), err)
	}
}

func pack(t *testing.T, plain []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(plain)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestDecodePartRefuses(t *testing.T) {
	for name, data := range map[string][]byte{
		"no gzip":           []byte("{}"),
		"cut":               pack(t, []byte("{}"))[:15],
		"bomb":              pack(t, make([]byte, maxPart+1)),
		"no json":           pack(t, []byte("{")),
		"not utf-8":         pack(t, []byte("{\"run\":\"\xff\"}")),
		"no key":            pack(t, []byte(`{}`)),
		"unknown part":      pack(t, []byte(`{"run":"r","session":"s","attempt":1,"part":"x"}`)),
		"events > trials":   pack(t, []byte(`{"run":"r","session":"s","attempt":1,"part":"initiator","metrics":{"l":{"ratio":{"events":2,"trials":1}}}}`)),
		"no histogram":      pack(t, []byte(`{"run":"r","session":"s","attempt":1,"part":"initiator","metrics":{"l":{"distribution":{"resolution":1}}}}`)),
		"empty measurement": pack(t, []byte(`{"run":"r","session":"s","attempt":1,"part":"initiator","metrics":{"l":{}}}`)),
		"too large":         make([]byte, MaxMessage+1),
		"zero byte":         pack(t, []byte(`{"run":"r\u0000","session":"s","attempt":1,"part":"initiator"}`)),
		"long run":          pack(t, []byte(`{"run":"`+strings.Repeat("r", maxRun+1)+`","session":"s","attempt":1,"part":"initiator"}`)),
		"long session":      pack(t, []byte(`{"run":"r","session":"`+strings.Repeat("s", maxSession+1)+`","attempt":1,"part":"initiator"}`)),
	} {
		if r, err := DecodePart(data); err == nil {
			t.Errorf("%s: got %+v, want an error", name, r)
		}
	}
}

func FuzzDecodePart(f *testing.F) {
	data, err := EncodePart(part())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := DecodePart(data); err == nil && KeyOf(r).Run == "" {
			t.Error("a part without a run was accepted")
		}
	})
}
