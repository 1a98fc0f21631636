package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plugins/sdk"
)

// Headers of a request.
const (
	// signatureHeader holds "t=SECONDS,v1=HEX": the time of the request and the
	// HMAC-SHA-256, keyed with the secret, of "SECONDS.BODY".
	signatureHeader = "Netp-Signature"
	// keyHeader is the same for the same records: a receiver that has seen it can
	// answer 200 without doing anything.
	keyHeader = "Idempotency-Key"
)

// sink posts batches. A 2xx answer acknowledges them.
type sink struct {
	config struct {
		URL     string            `json:"url"`
		Secret  string            `json:"secret"`
		Headers map[string]string `json:"headers"`
		Timeout string            `json:"timeout"`
	}
	client *http.Client
	now    func() time.Time
}

func newSink() sdk.Sink { return &sink{now: time.Now} }

func (*sink) Schema() sdk.Schema {
	return sdk.Schema{
		{Name: "url", Type: sdk.String, Required: true, Sensitive: true, Doc: "Where to post to; it may hold a token, so it is not shown."},
		{Name: "secret", Type: sdk.String, Sensitive: true, Doc: "Key of the signature in the header " + signatureHeader + "; without it requests are not signed."},
		{Name: "headers", Type: sdk.Map, Sensitive: true, Doc: "Headers added to every request, such as Authorization."},
		{Name: "timeout", Type: sdk.String, Default: "10s", Doc: "How long one request may take."},
	}
}

func (s *sink) Configure(_ context.Context, c sdk.Config) error {
	if err := c.Decode(&s.config); err != nil {
		return err
	}
	target, err := url.Parse(s.config.URL)
	if err != nil || target.Host == "" || target.Scheme != "http" && target.Scheme != "https" {
		return sdk.Invalid("url", `It is an address like "https://hooks.example/netp".`)
	}
	timeout, err := time.ParseDuration(s.config.Timeout)
	if err != nil || timeout <= 0 {
		return sdk.Invalid("timeout", `It is a duration, like "10s".`)
	}
	for name, value := range s.config.Headers {
		switch http.CanonicalHeaderKey(name) {
		case signatureHeader, keyHeader, "Content-Type", "Content-Length", "Transfer-Encoding":
			return sdk.Invalid("headers", "The header %s is set by the sink itself.", name)
		}
		if strings.ContainsAny(name, " \t\r\n:") || name == "" || strings.ContainsAny(value, "\r\n\x00") {
			return sdk.Invalid("headers", "%q is no header.", name)
		}
	}
	s.client = &http.Client{Timeout: timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return nil
}

// Write posts the records as one request; those the receiver refuses for what they
// are become rejected ones.
func (s *sink) Write(ctx context.Context, records []netp.Record) error {
	if len(records) == 0 {
		return nil
	}
	return sdk.Isolate(ctx, records, s.post)
}

// batch is the body of a request.
type batch struct {
	FormatVersion string        `json:"format_version"`
	Records       []netp.Record `json:"records"`
}

func (s *sink) post(ctx context.Context, records []netp.Record) error {
	body, err := json.Marshal(batch{netp.FormatVersion, records})
	if err != nil {
		return sdk.Permanent(err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.config.URL, bytes.NewReader(body))
	if err != nil {
		return withoutURL(err)
	}
	for name, value := range s.config.Headers {
		request.Header.Set(name, value)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set(keyHeader, key(records))
	if s.config.Secret != "" {
		request.Header.Set(signatureHeader, sign(s.config.Secret, s.now(), body))
	}
	response, err := s.client.Do(request)
	if err != nil {
		return withoutURL(err)
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	return verdict(response, strings.TrimSpace(string(text)))
}

// withoutURL takes the address out of an error of net/http: it may hold a token.
func withoutURL(err error) error {
	if u, ok := err.(*url.Error); ok {
		return fmt.Errorf("post: %w", u.Err)
	}
	return err
}

// verdict tells what an answer means: only the statuses that speak of the body are
// for good; everything else is tried again.
func verdict(response *http.Response, text string) error {
	if response.StatusCode/100 == 2 {
		return nil
	}
	err := fmt.Errorf("the receiver answers %s: %s", response.Status, text)
	switch response.StatusCode {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return sdk.Permanent(err)
	}
	return err
}

// key is a hash of the records' ids.
func key(records []netp.Record) string {
	sum := sha256.New()
	for _, r := range records {
		sum.Write([]byte(r.ID + "\n"))
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// sign makes the value of the signature header.
func sign(secret string, at time.Time, body []byte) string {
	seconds := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(seconds + "."))
	mac.Write(body)
	return "t=" + seconds + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

func (s *sink) Close() error {
	if s.client != nil {
		s.client.CloseIdleConnections()
	}
	return nil
}
