package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plugins/sdk"
	"github.com/netpupper/netp/plugins/sdk/sinktest"
)

// hook is a receiver that keeps records by id, as ours ask receivers to.
type hook struct {
	*httptest.Server
	mu      sync.Mutex
	records map[string]netp.Record
	last    *http.Request
	body    []byte
	answer  func(records []netp.Record) int // 0 takes them
}

func newHook(t *testing.T) *hook {
	h := &hook{records: map[string]netp.Record{}}
	h.Server = httptest.NewServer(http.HandlerFunc(h.handle))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) handle(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var b batch
	if err := json.Unmarshal(body, &b); err != nil || b.FormatVersion != "1.0" {
		http.Error(w, "no batch", http.StatusTeapot)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last, h.body = r, body
	if h.answer != nil {
		if status := h.answer(b.Records); status != 0 {
			http.Error(w, "not this", status)
			return
		}
	}
	for _, record := range b.Records {
		h.records[record.ID] = record
	}
}

func (h *hook) ids(*testing.T) (out []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id := range h.records {
		out = append(out, id)
	}
	return out
}

func (h *hook) receiver() sinktest.Receiver {
	return sinktest.Receiver{Arguments: map[string]any{"url": h.URL + "/x?y=1", "timeout": "2m"}, IDs: h.ids}
}

var conformance = sinktest.Case{
	New:      newSink,
	Receiver: func(t *testing.T) sinktest.Receiver { return newHook(t).receiver() },
	Wrong: []sinktest.Wrong{
		{Name: "no scheme", Arguments: map[string]any{"url": "hooks.example"}, Attribute: "url"},
		{Name: "other scheme", Arguments: map[string]any{"url": "file:///etc/passwd"}, Attribute: "url"},
		{Name: "own header", Arguments: map[string]any{"url": "http://x", "headers": map[string]string{"netp-signature": "t"}}, Attribute: "headers"},
		{Name: "header injection", Arguments: map[string]any{"url": "http://x", "headers": map[string]string{"A": "b\r\nC: d"}}, Attribute: "headers"},
		{Name: "timeout", Arguments: map[string]any{"url": "http://x", "timeout": "0s"}, Attribute: "timeout"},
	},
}

func TestConformance(t *testing.T) { sinktest.Run(t, conformance) }

func TestRequest(t *testing.T) {
	h := newHook(t)
	r := h.receiver()
	r.Secrets = map[string]string{"secret": "it's a key", "headers.Authorization": "Bearer abc"}
	s := sinktest.Open(t, conformance, r).(*sink)
	s.now = func() time.Time { return time.Unix(1700000000, 0) }
	if err := s.Write(t.Context(), sinktest.Records(2)); err != nil {
		t.Fatal(err)
	}
	if got := h.last.Header.Get("Authorization"); got != "Bearer abc" || h.last.RequestURI != "/x?y=1" {
		t.Errorf("request %s with Authorization %q", h.last.RequestURI, got)
	}
	first := h.last.Header.Get(keyHeader)
	if err := s.Write(t.Context(), sinktest.Records(2)); err != nil || len(first) != 64 || h.last.Header.Get(keyHeader) != first {
		t.Errorf("keys %q and %q (%v), want the same", first, h.last.Header.Get(keyHeader), err)
	}
	if err := s.Write(t.Context(), sinktest.Records(1)); err != nil || h.last.Header.Get(keyHeader) == first {
		t.Errorf("another batch has the same key (%v)", err)
	}
	checkSignature(t, h.last.Header.Get(signatureHeader), "it's a key", h.body)
}

// checkSignature asks openssl, so that the format is what its description says.
func checkSignature(t *testing.T, header, secret string, body []byte) {
	seconds, mac, found := strings.Cut(header, ",v1=")
	if !found || seconds != "t=1700000000" {
		t.Fatalf("signature %q", header)
	}
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("needs openssl")
	}
	cmd := exec.Command(openssl, "dgst", "-sha256", "-hmac", secret)
	cmd.Stdin = strings.NewReader("1700000000." + string(body))
	out, err := cmd.Output()
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), " "+mac) {
		t.Errorf("openssl says %s (%v), the header says %s", out, err, mac)
	}
}

func TestAnswers(t *testing.T) {
	poison := sinktest.Records(8)[5].ID
	for _, test := range []struct {
		name     string
		status   int
		only     string // the record it concerns; "" for all
		rejected int
		retried  bool
	}{
		{"one record is invalid", 422, poison, 1, false}, {"one record is refused", 400, poison, 1, false}, {"one record is too large", 413, poison, 1, false},
		{"unavailable", 503, "", 0, true}, {"slow down", 429, "", 0, true}, {"who are you", 401, "", 0, true}, {"gone", 404, "", 0, true}, {"moved", 307, "", 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHook(t)
			h.answer = func(records []netp.Record) int {
				for _, r := range records {
					if test.only == "" || r.ID == test.only {
						return test.status
					}
				}
				return 0
			}
			err := sinktest.Open(t, conformance, h.receiver()).Write(t.Context(), sinktest.Records(8))
			var rejected *sdk.Rejected
			if errors.As(err, &rejected) {
				if test.retried || len(rejected.Records) != test.rejected || rejected.Records[0].ID != poison {
					t.Errorf("rejected %+v", rejected.Records)
				}
			} else if !test.retried || err == nil || strings.Contains(err.Error(), h.URL) {
				t.Errorf("Write = %v", err)
			}
			if got, want := len(h.ids(t)), map[bool]int{true: 0, false: 7}[test.retried]; got != want {
				t.Errorf("%d records arrived, want %d", got, want)
			}
		})
	}
}

func TestReceiverGone(t *testing.T) {
	h := newHook(t)
	s := sinktest.Open(t, conformance, h.receiver())
	h.Close()
	if err := s.Write(t.Context(), sinktest.Records(1)); err == nil || strings.Contains(err.Error(), "y=1") {
		t.Errorf("Write = %v, want an error without the address's query", err)
	}
}
