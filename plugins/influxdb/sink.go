package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plugins/sdk"
)

// sink writes points over HTTP, to version 1 when a database is named and to version
// 2 when a bucket is.
type sink struct {
	config struct {
		URL       string            `json:"url"`
		Database  string            `json:"database"`
		Retention string            `json:"retention_policy"`
		Username  string            `json:"username"`
		Password  string            `json:"password"`
		Org       string            `json:"org"`
		Bucket    string            `json:"bucket"`
		Token     string            `json:"token"`
		Tags      map[string]string `json:"tags"`
		Intervals bool              `json:"intervals"`
		Timeout   string            `json:"timeout"`
	}
	write   string // the URL to post to
	client  *http.Client
	options options
}

func newSink() sdk.Sink { return new(sink) }

func (*sink) Schema() sdk.Schema {
	return sdk.Schema{
		{Name: "url", Type: sdk.String, Required: true, Doc: `Address of the server: "http://influx.example:8086".`},
		{Name: "database", Type: sdk.String, Doc: "InfluxDB 1.x: the database, which must exist."},
		{Name: "retention_policy", Type: sdk.String, Doc: "InfluxDB 1.x: the retention policy; the database's default when left out."},
		{Name: "username", Type: sdk.String, Doc: "InfluxDB 1.x: the user."},
		{Name: "password", Type: sdk.String, Sensitive: true, Doc: "InfluxDB 1.x: the user's password."},
		{Name: "bucket", Type: sdk.String, Doc: "InfluxDB 2.x: the bucket, which must exist."},
		{Name: "org", Type: sdk.String, Doc: "InfluxDB 2.x: the organisation."},
		{Name: "token", Type: sdk.String, Sensitive: true, Doc: "InfluxDB 2.x: an API token that may write to the bucket."},
		{Name: "tags", Type: sdk.Map, Doc: "Tags added to every point."},
		{Name: "intervals", Type: sdk.Bool, Default: true, Doc: "Whether the time series of sessions are written too."},
		{Name: "timeout", Type: sdk.String, Default: "10s", Doc: "How long one request may take."},
	}
}

func (s *sink) Configure(_ context.Context, c sdk.Config) error {
	if err := c.Decode(&s.config); err != nil {
		return err
	}
	base, err := url.Parse(s.config.URL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return sdk.Invalid("url", `It is the address of the server, like "https://influx.example:8086".`)
	}
	if base.User != nil || base.RawQuery != "" {
		return sdk.Invalid("url", "It holds no user and no query: there are arguments of their own for them.")
	}
	timeout, err := time.ParseDuration(s.config.Timeout)
	if err != nil || timeout <= 0 {
		return sdk.Invalid("timeout", `It is a duration, like "10s".`)
	}
	if err := s.target(base); err != nil {
		return err
	}
	s.options = options{tags: s.config.Tags, intervals: s.config.Intervals}
	s.client = &http.Client{Timeout: timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return nil
}

// target chooses the version and makes the URL to write to.
func (s *sink) target(base *url.URL) error {
	query := url.Values{"precision": {"ns"}}
	c := s.config
	switch {
	case c.Database != "" && c.Bucket != "":
		return sdk.Invalid("bucket", "Either database (InfluxDB 1.x) or bucket (2.x) is given, not both.")
	case c.Database == "" && c.Bucket == "":
		return sdk.Invalid("database", "Either database (InfluxDB 1.x) or bucket (2.x) is needed.")
	case c.Bucket != "" && c.Org == "":
		return sdk.Invalid("org", "A bucket belongs to an organisation: name it.")
	case c.Bucket != "":
		query.Set("bucket", c.Bucket)
		query.Set("org", c.Org)
		s.write = base.JoinPath("/api/v2/write").String() + "?" + query.Encode()
		return nil
	}
	query.Set("db", c.Database)
	if c.Retention != "" {
		query.Set("rp", c.Retention)
	}
	s.write = base.JoinPath("/write").String() + "?" + query.Encode()
	return nil
}

// Write sends all points of the records; those of a record the server refuses for
// what they are make that record a rejected one.
func (s *sink) Write(ctx context.Context, records []netp.Record) error {
	if len(records) == 0 {
		return nil
	}
	return sdk.Isolate(ctx, records, func(ctx context.Context, records []netp.Record) error {
		var lines []string
		for _, r := range records {
			for _, p := range points(r, s.options) {
				if line := p.line(); line != "" {
					lines = append(lines, line)
				}
			}
		}
		return s.send(ctx, lines)
	})
}

// maxLines is how many points one request carries, as InfluxDB advises.
const maxLines = 5000

// send posts lines in requests of a size the server takes.
func (s *sink) send(ctx context.Context, lines []string) error {
	for len(lines) > 0 {
		n := min(len(lines), maxLines)
		err := s.post(ctx, strings.Join(lines[:n], "\n")+"\n")
		if errors.Is(err, errTooLarge) && n > 1 {
			if err = s.send(ctx, lines[:n/2]); err == nil {
				err = s.send(ctx, lines[n/2:n])
			}
		}
		if err != nil {
			return err
		}
		lines = lines[n:]
	}
	return nil
}

var errTooLarge = errors.New("the request is too large for the server")

func (s *sink) post(ctx context.Context, body string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.write, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "text/plain; charset=utf-8")
	if s.config.Token != "" {
		request.Header.Set("Authorization", "Token "+s.config.Token)
	}
	if s.config.Username != "" {
		request.SetBasicAuth(s.config.Username, s.config.Password)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	return verdict(response, text)
}

// verdict tells what an answer means: taken; not now, which is retried; or never.
// Only the answers that speak of the points themselves mean never: one about the
// account, the database or the address is for the operator to mend.
func verdict(response *http.Response, text []byte) error {
	if response.StatusCode/100 == 2 {
		return nil
	}
	err := fmt.Errorf("the server answers %s: %s", response.Status, message(text))
	switch response.StatusCode {
	case http.StatusRequestEntityTooLarge:
		return sdk.Permanent(fmt.Errorf("%w: %w", errTooLarge, err))
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return sdk.Permanent(err)
	}
	return err
}

// message finds the words in an answer of either version.
func message(text []byte) string {
	var answer struct {
		Error   string `json:"error"`
		Message string `json:"message"`
	}
	if json.Unmarshal(text, &answer) == nil {
		if answer.Error != "" {
			return answer.Error
		}
		if answer.Message != "" {
			return answer.Message
		}
	}
	return strings.TrimSpace(string(text))
}

func (s *sink) Close() error {
	if s.client != nil {
		s.client.CloseIdleConnections()
	}
	return nil
}
