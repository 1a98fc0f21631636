package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netpupper/netp/agent/wire"
	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/runner/api"
	"github.com/netpupper/netp/runner/feed"
	"github.com/netpupper/netp/runner/store"
)

func event(id int, name, data string) string {
	text := "event: " + name + "\ndata: " + data + "\n\n"
	if id > 0 {
		text = fmt.Sprintf("id: %d\n", id) + text
	}
	return text
}

// served answers each connection with the next text, and keeps what it was asked
// to resume after.
func served(t *testing.T, answers ...string) (c *Client, resumed *[]string) {
	t.Helper()
	resumed = new([]string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("%s without the token", r.URL.Path)
		}
		n := len(*resumed)
		*resumed = append(*resumed, r.Header.Get("Last-Event-ID"))
		if n >= len(answers) {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, answers[n])
	}))
	t.Cleanup(server.Close)
	c, err := New(Options{URL: server.URL, Token: "secret\n", HTTP: server.Client()})
	if err != nil {
		t.Fatal(err)
	}
	return c, resumed
}

func TestFollowTellsEachEventOnce(t *testing.T) {
	started := event(1, "run_started", `{"run":"r","sessions":2}`)
	one := `{"run":"r","session":{"addr":"one"}}`
	two := `{"run":"r","session":{"addr":"two"}}`
	c, resumed := served(t,
		started+event(0, "session_progress", `{"session":"one"}`)+event(2, "session_done", one)+"id: 3\nevent: session_do", // cut in the middle
		": still here\n\n"+event(3, "unheard_of", `{}`),
		event(0, "run_started", `{"run":"r","sessions":2}`)+event(0, "session_done", one)+event(0, "session_done", two)+event(0, "run_done", `{"run":"r"}`),
	)
	var told []string
	err := c.Follow(t.Context(), "r", func(e runner.Event) {
		text := fmt.Sprintf("%T", e)
		if d, ok := e.(runner.SessionDone); ok {
			text += " " + d.Record.Session.Addr
		}
		told = append(told, strings.TrimPrefix(text, "runner."))
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"RunStarted", "Progress", "SessionDone one", "SessionDone two", "RunDone"}
	if d := cmp.Diff(want, told); d != "" {
		t.Errorf("told (-want +got)\n%s", d)
	}
	if d := cmp.Diff([]string{"", "2", "3"}, *resumed); d != "" {
		t.Errorf("resumed after (-want +got)\n%s", d)
	}
}

func TestFollowEnds(t *testing.T) {
	var problem *api.Problem
	var failure *feed.Failure
	c, _ := served(t, event(1, "run_failed", `{"detail":"The disk is full."}`))
	if err := c.Follow(t.Context(), "r", func(runner.Event) {}); !errors.As(err, &failure) || failure.Detail != "The disk is full." {
		t.Errorf("a run that failed: %v", err)
	}
	c, _ = served(t)
	if err := c.Follow(t.Context(), "r", func(runner.Event) {}); !errors.As(err, &problem) || problem.Status != http.StatusNotFound {
		t.Errorf("a run that is not there: %v", err)
	}
	gone := errors.New("left")
	ctx, leave := context.WithCancelCause(t.Context())
	c, _ = served(t, event(1, "run_started", `{}`))
	if err := c.Follow(ctx, "r", func(runner.Event) { leave(gone) }); !errors.Is(err, gone) {
		t.Errorf("a follower that leaves: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, o := range map[string]Options{
		"no address":      {Token: "t"},
		"no URL":          {URL: "::", Token: "t"},
		"password in it":  {URL: "https://a:b@netp.example", Token: "t"},
		"not encrypted":   {URL: "http://netp.example:8640", Token: "t"},
		"no token":        {URL: "https://netp.example:8640"},
		"not a token":     {URL: "https://netp.example:8640", Token: "sesame-open"},
		"name of a local": {URL: "http://localhost.example", Token: "t"},
	} {
		if _, err := New(o); err == nil || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: error %v, want one without the token", name, err)
		}
	}
}

// TestAddresses: the address may come without its scheme; without a token it is told whose is missing.
func TestAddresses(t *testing.T) {
	c, err := New(Options{URL: "netp.example:8640", Token: "t", HTTP: http.DefaultClient})
	if err != nil || c.URL() != "https://netp.example:8640" {
		t.Errorf("got %+v, %v", c, err)
	}
	if _, err = New(Options{URL: "netp.example:8640"}); err == nil || !strings.HasPrefix(err.Error(), "no token for the controller https://netp.example:8640\nSet NETP_TOKEN") {
		t.Errorf("without a token: %v", err)
	}
}

// TestNoController: what answers without saying what is wrong is another server, or one that wants TLS.
func TestNoController(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	c, err := New(Options{URL: strings.Replace(server.URL, "https:", "http:", 1), Token: "t", HTTP: http.DefaultClient})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Ask(t.Context(), http.MethodGet, "agents", nil, nil); err == nil || !strings.Contains(err.Error(), "answers 400 Bad Request") || !strings.Contains(err.Error(), "https:// before it?") {
		t.Errorf("TLS without https: %v", err)
	}
}

// A redirect would carry the token elsewhere.
func TestNoRedirects(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
	defer elsewhere.Close()
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	c, err := New(Options{URL: server.URL, Token: "secret", HTTP: server.Client()})
	if err != nil {
		t.Fatal(err)
	}
	var problem *api.Problem
	if _, err := c.Status(t.Context()); !errors.As(err, &problem) || problem.Status != http.StatusTemporaryRedirect {
		t.Errorf("error %v", err)
	}
}

// Whose clock differs by days from the controller's is not asked whether that runs.
func TestClocksDiffer(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	differ := func(tls.ConnectionState) error { return fmt.Errorf("%w: compare them", wire.ErrClock) }
	c, err := New(Options{URL: server.URL, Token: "secret", HTTP: &http.Client{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, VerifyConnection: differ}}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Status(t.Context()); !errors.Is(err, wire.ErrClock) || strings.Contains(err.Error(), "is it running") {
		t.Errorf("%v, want the clocks alone", err)
	}
}

func TestRecords(t *testing.T) {
	whole := `{"format_version":"1.0","records":[{"run":"r","session":{"addr":"one"}},{"run":"r","session":{"addr":"two"}}]}`
	for text, want := range map[string]int{
		whole:                                   2,
		`{"format_version":"1.0","records":[]}`: 0,
		whole[:len(whole)-1]:                    2, // all of them are there
		whole[:len(whole)-2]:                    -1,
		whole[:len(whole)-12]:                   -1,
		`{"format_version":"1.0"}`:              -1,
		`[]`:                                    -1,
		``:                                      -1,
	} {
		c, _ := served(t, text)
		records, err := c.History(t.Context(), store.Past{Path: "syd->mel"})
		if (err == nil) != (want >= 0) || err == nil && len(records) != want {
			t.Errorf("%s: %d records, %v; want %d", text, len(records), err, want)
		}
	}
}
