package main

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/netpupper/netp/plugins/sdk"
	"github.com/netpupper/netp/plugins/sdk/sinktest"
)

// server is an InfluxDB in memory: points with the same measurement, tags and time
// are one.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	points map[string]string // series and time → fields
	// answer may refuse a request; status 0 takes it.
	answer func(r *http.Request, body string) (status int, text string)
}

func newServer(t *testing.T) *server {
	s := &server{points: map[string]string{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.handle))
	t.Cleanup(s.Close)
	return s
}

func (s *server) handle(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answer != nil {
		if status, text := s.answer(r, string(body)); status != 0 {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
			return
		}
	}
	for line := range strings.Lines(string(body)) {
		series, rest := cut(strings.TrimSuffix(line, "\n"))
		fields, at := cut(rest)
		if series == "" || fields == "" || at == "" {
			http.Error(w, "unable to parse "+line, http.StatusBadRequest)
			return
		}
		s.points[series+" "+at] = fields
	}
	w.WriteHeader(http.StatusNoContent)
}

// cut splits at the first space that is neither escaped nor quoted.
func cut(s string) (before, after string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ' ' && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

func (s *server) ids(t *testing.T) (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, fields := range s.points {
		if !strings.HasPrefix(key, sessions+",") {
			continue
		}
		_, rest, found := strings.Cut(fields, `record="`)
		id, _, ended := strings.Cut(strings.ReplaceAll(rest, `\"`, "\x00"), `"`)
		if !found || !ended {
			t.Errorf("a session point without its record: %s", fields)
		}
		out = append(out, strings.ReplaceAll(id, "\x00", `"`))
	}
	return out
}

func (s *server) v1() sinktest.Receiver {
	return sinktest.Receiver{Arguments: map[string]any{"url": s.URL, "database": "netp", "timeout": "2m", "tags": map[string]string{"dc": "syd 1", "path": "mine"}}, IDs: s.ids}
}

func wrong() []sinktest.Wrong {
	return []sinktest.Wrong{
		{Name: "no scheme", Arguments: map[string]any{"url": "influx:8086", "database": "x"}, Attribute: "url"},
		{Name: "user in address", Arguments: map[string]any{"url": "http://u:p@influx", "database": "x"}, Attribute: "url"},
		{Name: "no version", Arguments: map[string]any{"url": "http://influx"}, Attribute: "database"},
		{Name: "both versions", Arguments: map[string]any{"url": "http://influx", "database": "x", "bucket": "y"}, Attribute: "bucket"},
		{Name: "no org", Arguments: map[string]any{"url": "http://influx", "bucket": "y"}, Attribute: "org"},
		{Name: "timeout", Arguments: map[string]any{"url": "http://influx", "database": "y", "timeout": "long"}, Attribute: "timeout"},
	}
}

func TestConformance(t *testing.T) {
	sinktest.Run(t, sinktest.Case{New: newSink, Wrong: wrong(), Receiver: func(t *testing.T) sinktest.Receiver { return newServer(t).v1() }})
}

func TestRequests(t *testing.T) {
	for _, test := range []struct {
		name      string
		arguments map[string]any
		secrets   map[string]string
		want      string // URI
		login     string // Authorization
	}{
		{"v1", map[string]any{"database": "d b", "retention_policy": "year"}, nil, "/write?db=d+b&precision=ns&rp=year", ""},
		{"v1 with user", map[string]any{"database": "db", "username": "u"}, map[string]string{"password": "p"}, "/write?db=db&precision=ns", "Basic dTpw"},
		{"v2", map[string]any{"bucket": "b", "org": "o"}, map[string]string{"token": "secret"}, "/api/v2/write?bucket=b&org=o&precision=ns", "Token secret"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t)
			var uri, login string
			s.answer = func(r *http.Request, _ string) (int, string) {
				uri, login = r.RequestURI, r.Header.Get("Authorization")
				return 0, ""
			}
			test.arguments["url"] = s.URL + "/"
			sink := sinktest.Open(t, sinktest.Case{New: newSink}, sinktest.Receiver{Arguments: test.arguments, Secrets: test.secrets})
			if err := sink.Write(t.Context(), sinktest.Records(1)); err != nil {
				t.Fatal(err)
			}
			if uri != test.want || login != test.login {
				t.Errorf("got %s with %q, want %s with %q", uri, login, test.want, test.login)
			}
		})
	}
}

func TestAnswers(t *testing.T) {
	poison := sinktest.Records(9)[6].ID
	refuse := func(status int) func(*http.Request, string) (int, string) {
		return func(_ *http.Request, body string) (int, string) {
			if strings.Contains(body, strings.ReplaceAll(poison, `"`, `\"`)) {
				return status, `{"error":"field type conflict"}`
			}
			return 0, ""
		}
	}
	always := func(status int) func(*http.Request, string) (int, string) {
		return func(*http.Request, string) (int, string) { return status, `{"message":"not you"}` }
	}
	for _, test := range []struct {
		name     string
		answer   func(*http.Request, string) (int, string)
		rejected int // records; −1: the batch comes again
		has      int
	}{
		{"one record is poison", refuse(400), 1, 8},
		{"one record does not fit", refuse(422), 1, 8},
		{"server error", always(503), -1, 0}, {"too many requests", always(429), -1, 0}, {"unauthorised", always(401), -1, 0},
		{"forbidden", always(403), -1, 0}, {"no such database", always(404), -1, 0}, {"redirect", always(302), -1, 0},
		{"small requests only", func(_ *http.Request, body string) (int, string) {
			if strings.Count(body, "\n") > 3 {
				return 413, "too large"
			}
			return 0, ""
		}, 0, 9},
		{"nothing is small enough", always(413), 9, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t)
			s.answer = test.answer
			sink := sinktest.Open(t, sinktest.Case{New: newSink}, s.v1())
			err := sink.Write(t.Context(), sinktest.Records(9))
			var rejected *sdk.Rejected
			switch {
			case errors.As(err, &rejected):
				if len(rejected.Records) != test.rejected || test.rejected == 1 && (rejected.Records[0].ID != poison || !strings.Contains(rejected.Records[0].Reason, "field type conflict")) {
					t.Errorf("rejected %+v, want %d", rejected.Records, test.rejected)
				}
			case (err != nil) != (test.rejected < 0):
				t.Errorf("Write = %v", err)
			}
			if got := len(s.ids(t)); got != test.has {
				t.Errorf("the server has %d records, want %d", got, test.has)
			}
		})
	}
}

func TestServerGone(t *testing.T) {
	s := newServer(t)
	sink := sinktest.Open(t, sinktest.Case{New: newSink}, s.v1())
	s.Close()
	var rejected *sdk.Rejected
	if err := sink.Write(t.Context(), sinktest.Records(2)); err == nil || errors.As(err, &rejected) {
		t.Errorf("Write = %v, want an error that is retried", err)
	}
}
