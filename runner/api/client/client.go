// Package client speaks to a controller's HTTP API for the command: it posts
// plans, follows runs across broken connections, and reads what the store holds.
// It trusts the controller whose pin the token holds, and sends the token to
// nobody else. It prints nothing. Start with New, then Client.Apply.
package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/wire"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/runner/api"
	"github.com/netpupper/netp/runner/apply"
	"github.com/netpupper/netp/runner/gitops"
	"github.com/netpupper/netp/runner/store"
)

// Options say which controller to speak to, and as whom.
type Options struct {
	// URL of the controller, https://HOST:8640, or without the https://. http is for loopback only.
	URL string
	// Token is netp_<pin>_<secret>, as the controller made it.
	Token string
	// Holder names who asks, user@host, for the lock of a suite.
	Holder string
	// HTTP replaces the client that trusts the token's pin; for tests.
	HTTP *http.Client
}

// Client is a way to one controller. It may be used concurrently.
type Client struct {
	base   string
	token  string
	holder string
	http   *http.Client
}

const (
	// answerTimeout bounds the time to the header of an answer. A plan of 100 MB is
	// sent before it begins.
	answerTimeout = 60 * time.Second
	// silence is how long a stream may say nothing; the controller says something
	// every 15 s.
	silence = 45 * time.Second
	// maxProblem bounds an error's body [B], maxEvent an event [B].
	maxProblem = 64 << 10
	maxEvent   = 16 << 20
)

// New gives a client. It does not connect.
func New(o Options) (*Client, error) {
	if !strings.Contains(o.URL, "://") {
		o.URL = "https://" + o.URL
	}
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" {
		return nil, fmt.Errorf("%q is not the address of a controller\nWrite for example https://netp.example:8640", o.URL)
	}
	if u.Scheme == "http" && !isLoopback(u.Hostname()) {
		return nil, fmt.Errorf("the token would go to %s unencrypted\nWrite https://%s", u.Host, u.Host)
	}
	token := strings.TrimSpace(o.Token)
	if token == "" {
		return nil, fmt.Errorf("no token for the controller %s\nSet NETP_TOKEN to one of netp tokens create, or to the content of admin.token in the controller's data directory", u)
	}
	c := &Client{base: strings.TrimSuffix(u.String(), "/"), token: token, holder: o.Holder, http: o.HTTP}
	if c.http == nil {
		t, err := wire.ParseAccessToken(token)
		if err != nil {
			return nil, fmt.Errorf("NETP_TOKEN: %w", err)
		}
		c.http = &http.Client{Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSClientConfig:     wire.PinnedTLS(t.Pin),
			TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: answerTimeout,
		}}
	}
	plain := *c.http
	plain.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // the token stays here
	c.http = &plain
	return c, nil
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// URL is the controller's.
func (c *Client) URL() string { return c.base }

// cause drops what net/http puts before an error: the method and the address again.
func cause(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// do asks and gives an answer of success, whose body the caller closes. Answers
// that are errors become *api.Problem.
func (c *Client) do(ctx context.Context, method, path string, body []byte, header http.Header) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.base+api.Prefix+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	maps.Copy(request.Header, header)
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set(api.HolderHeader, c.holder)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	switch {
	case errors.Is(err, wire.ErrPin):
		return nil, fmt.Errorf("%s: %w", c.base, wire.ErrPin)
	case errors.Is(err, wire.ErrClock):
		return nil, fmt.Errorf("%s: %w", c.base, cause(err))
	case err != nil:
		return nil, fmt.Errorf("controller %s is not reached: %w; is it running, and is this its address?", c.base, cause(err))
	}
	if response.StatusCode/100 == 2 {
		return response, nil
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxProblem))
	if err != nil {
		return nil, fmt.Errorf("controller %s: %w", c.base, err)
	}
	p := &api.Problem{Status: response.StatusCode}
	if json.Unmarshal(data, p) != nil || p.Code == "" {
		p.Code = "unknown"
	}
	if p.Detail == "" {
		p.Detail = fmt.Sprintf("%s answers %s, and not as a controller does. Is this the address of one, and https:// before it?", c.base, response.Status)
	}
	return nil, p
}

// ask asks for a value in JSON.
func ask[T any](ctx context.Context, c *Client, method, path string, body []byte) (T, error) {
	var out T
	response, err := c.do(ctx, method, path, body, nil)
	if err != nil {
		return out, err
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&out); err != nil {
		return out, fmt.Errorf("controller %s: the answer to %s %s: %w", c.base, method, path, err)
	}
	return out, nil
}

// Ask asks for something below api.Prefix, with a value in JSON unless that is nil, and reads the answer unless into is nil.
func (c *Client) Ask(ctx context.Context, method, path string, value, into any) error {
	var body []byte
	if value != nil {
		var err error
		if body, err = json.Marshal(value); err != nil {
			return err
		}
	}
	answer, err := ask[json.RawMessage](ctx, c, method, path, body)
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal(answer, into)
}

// Status tells how the controller is.
func (c *Client) Status(ctx context.Context) (api.Status, error) {
	return ask[api.Status](ctx, c, http.MethodGet, "status", nil)
}

// Agents lists the agents that are ready to run sessions, and those that would be
// were they not drained.
func (c *Client) Agents(ctx context.Context) ([]netp.Agent, error) {
	type listed struct {
		netp.Agent
		State string `json:"state"`
	}
	answer, err := ask[struct{ Agents []listed }](ctx, c, http.MethodGet, "agents", nil)
	var out []netp.Agent
	for _, a := range answer.Agents {
		if a.State == "" || a.State == "ready" || a.State == "drained" {
			out = append(out, a.Agent)
		}
	}
	return out, err
}

// Suite is what is applied of a suite, whose it is and who applies it now.
func (c *Client) Suite(ctx context.Context, suite string) (api.SuiteState, error) {
	return ask[api.SuiteState](ctx, c, http.MethodGet, "suites/"+url.PathEscape(suite)+"/state", nil)
}

// State is what is applied of a suite.
func (c *Client) State(ctx context.Context, suite string) (plan.State, error) {
	s, err := c.Suite(ctx, suite)
	return s.State, err
}

// Sources lists what the controller follows.
func (c *Client) Sources(ctx context.Context) ([]gitops.Status, error) {
	s, err := ask[api.SourceList](ctx, c, http.MethodGet, "sources", nil)
	return s.Sources, err
}

// TellSource has a source do "suspend", "resume" or "reconcile" and gives how it is.
func (c *Client) TellSource(ctx context.Context, source, what string) (gitops.Status, error) {
	return ask[gitops.Status](ctx, c, http.MethodPost, "sources/"+url.PathEscape(source)+"/"+what, nil)
}

// Destroy forgets what is applied of a suite and says how many tests it was.
func (c *Client) Destroy(ctx context.Context, suite string) (int, error) {
	d, err := ask[api.Destroyed](ctx, c, http.MethodDelete, "suites/"+url.PathEscape(suite), nil)
	return d.Tests, err
}

// most is how many of a list a controller gives.
const most = 10_000

// Runs lists the latest runs, of all suites for ""; limit 0 for as many as the
// controller gives.
func (c *Client) Runs(ctx context.Context, suite string, limit int) ([]api.Run, error) {
	query := url.Values{"limit": {strconv.Itoa(cmp.Or(limit, most))}}
	if suite != "" {
		query.Set("suite", suite)
	}
	r, err := ask[api.Runs](ctx, c, http.MethodGet, "runs?"+query.Encode(), nil)
	return r.Runs, err
}

// History lists records of a path, the latest first; limit 0 for as many as the
// controller gives.
func (c *Client) History(ctx context.Context, past store.Past) ([]netp.Record, error) {
	query := url.Values{"path": {past.Path}, "limit": {strconv.Itoa(cmp.Or(past.Limit, most))}}
	if past.Suite != "" {
		query.Set("suite", past.Suite)
	}
	if past.Test != "" {
		query.Set("test", past.Test)
	}
	if !past.Since.IsZero() {
		query.Set("since", past.Since.UTC().Format(time.RFC3339Nano))
	}
	return c.records(ctx, "records?"+query.Encode())
}

// Paths lists the paths that have records.
func (c *Client) Paths(ctx context.Context) ([]store.KnownPath, error) {
	p, err := ask[api.Paths](ctx, c, http.MethodGet, "paths", nil)
	return p.Paths, err
}

// Run is a run with the records that are there.
func (c *Client) Run(ctx context.Context, run string) (api.Run, error) {
	found, err := ask[api.Run](ctx, c, http.MethodGet, "runs/"+url.PathEscape(run), nil)
	if err != nil {
		return found, err
	}
	records, err := c.records(ctx, "runs/"+url.PathEscape(run)+"/records")
	found.Report = found.With(records)
	return found, err
}

// records reads api.Records one by one: the text of thousands would take more memory
// than they do.
func (c *Client) records(ctx context.Context, path string) (out []netp.Record, err error) {
	response, err := c.do(ctx, http.MethodGet, path, nil, nil)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	d := json.NewDecoder(response.Body)
	var token json.Token
	for err == nil && token != "records" {
		token, err = d.Token()
	}
	if err == nil {
		_, err = d.Token() // the list begins
	}
	for err == nil && d.More() {
		var r netp.Record
		if err = d.Decode(&r); err == nil {
			out = append(out, r)
		}
	}
	if err == nil {
		_, err = d.Token() // and ends
	}
	if err != nil {
		return nil, fmt.Errorf("controller %s: the answer to GET %s: %w", c.base, path, err)
	}
	return out, nil
}

// Apply posts a plan, with the secrets of its sinks by address and name, and gives
// the run, which has begun.
func (c *Client) Apply(ctx context.Context, p *plan.Plan, secrets map[string]map[string]string) (apply.Started, error) {
	body, err := json.Marshal(api.Submission{Plan: p, SinkSecrets: secrets})
	if err != nil {
		return apply.Started{}, fmt.Errorf("write plan: %w", err)
	}
	return ask[apply.Started](ctx, c, http.MethodPost, "runs", body)
}

// Cancel ends a run; the events tell when it has ended.
func (c *Client) Cancel(ctx context.Context, run string) error {
	_, err := ask[apply.Started](ctx, c, http.MethodPost, "runs/"+url.PathEscape(run)+"/cancel", nil)
	return err
}
