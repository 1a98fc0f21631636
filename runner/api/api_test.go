package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/runner/apply"
	"github.com/netpupper/netp/runner/enrol"
	"github.com/netpupper/netp/runner/feed"
	"github.com/netpupper/netp/runner/store"
)

func TestApply(t *testing.T) {
	w := newWorld(t)
	p := onePlan("s", w.state("s"))
	run := wants[apply.Started](w, 201, "POST", "/api/v1/runs", p).Run
	if got := wants[Run](w, 200, "GET", "/api/v1/runs/"+run, nil); got.State != "running" || got.Lock == nil || got.Lock.Holder != "ann@laptop" {
		t.Errorf("the run is %+v", got)
	}
	if got := wants[Status](w, 200, "GET", "/api/v1/status", nil); len(got.Running) != 1 || got.Running[0].Run != run {
		t.Errorf("the status is %+v", got)
	}
	w.steps <- step{event: runner.SessionDone{Record: record(run)}}
	w.steps <- step{end: true}
	w.read(run, "") // to the end
	if got := wants[Run](w, 200, "GET", "/api/v1/runs/"+run, nil); got.State != "ended" || got.Lock != nil {
		t.Errorf("the run is %+v", got)
	}
	if got := w.state("s"); got.Serial != 1 || got.Plan != p.Hash {
		t.Errorf("the state is %+v", got)
	}
	records := wants[Records](w, 200, "GET", "/api/v1/runs/"+run+"/records", nil).Records
	if len(records) != 1 || records[0].Result.Metrics["rtt"].Value == nil {
		t.Errorf("the records are %+v, want one with its metrics", records)
	}
	if got := wants[Records](w, 200, "GET", "/api/v1/records?path=x-%3Ey&since=1970-01-01T00:00:00Z", nil).Records; len(got) != 1 {
		t.Errorf("the history has %d records", len(got))
	}
	if got := wants[Records](w, 200, "GET", "/api/v1/records?path=x-%3Ey&since=1971-01-01T00:00:00Z", nil).Records; got == nil || len(got) != 0 {
		t.Errorf("the later history is %+v, want an empty list", got)
	}
	if got := wants[Runs](w, 200, "GET", "/api/v1/runs?suite=s", nil).Runs; len(got) != 1 {
		t.Errorf("%d runs are listed", len(got))
	}
	if got := wants[Destroyed](w, 200, "DELETE", "/api/v1/suites/s", nil); got.Tests != 1 {
		t.Errorf("destroyed %+v", got)
	}
	if got := w.state("s"); len(got.Tests) != 0 || got.Serial != 2 {
		t.Errorf("after destroy the state is %+v", got)
	}
}

// A run that a commit began holds no suite, and is there nevertheless.
func TestStatus(t *testing.T) {
	w := newWorld(t)
	const run = "00000099-0000-7000-8000-000000000000"
	w.ids = make(chan string, 1) // the scripted run takes its id from here
	w.ids <- run
	if err := w.applier.Once(onePlan("s", plan.State{}), run); err != nil {
		t.Fatal(err)
	}
	got := wants[Status](w, 200, "GET", "/api/v1/status", nil)
	if len(got.Running) != 1 || got.Running[0].Run != run || got.Running[0].Suite != "s" || got.Running[0].Holder != "a commit" {
		t.Errorf("running are %+v", got.Running)
	}
	if got.Agents != 2 || got.Draining != 1 {
		t.Errorf("of %d agents %d are draining, want 1 of 2", got.Agents, got.Draining)
	}
	w.steps <- step{end: true}
}

func TestApplyRefusesWhatDoesNotFit(t *testing.T) {
	w := newWorld(t)
	stale := onePlan("s", plan.State{})
	first := wants[apply.Started](w, 201, "POST", "/api/v1/runs", stale).Run
	w.steps <- step{end: true}
	w.read(first, "")
	if got := wants[Problem](w, 409, "POST", "/api/v1/runs", stale); got.Code != "applied" {
		t.Errorf("the same plan again: %+v", got)
	}
	stale.Targets = []string{"test.a"}
	stale.Hash = stale.Digest()
	if got := wants[Problem](w, 409, "POST", "/api/v1/runs", stale); got.Code != "stale" {
		t.Errorf("a plan against the state before: %+v", got)
	}
	for name, change := range map[string]func(*plan.Plan){
		"another format":  func(p *plan.Plan) { p.FormatVersion = "0.1" },
		"no suite":        func(p *plan.Plan) { p.Suite.Name = "" },
		"unknown kind":    func(p *plan.Plan) { p.Tests[0].Kind = "other" },
		"no timeout":      func(p *plan.Plan) { p.Tests[0].Timeout = 0 },
		"no test":         func(p *plan.Plan) { p.Sessions[0].Test = "test.b" },
		"session twice":   func(p *plan.Plan) { p.Sessions = append(p.Sessions, p.Sessions[0]) },
		"before its time": func(p *plan.Plan) { p.Sessions[0].Start = -1 },
	} {
		p := onePlan("s", w.state("s"))
		change(p)
		p.Hash = p.Digest()
		if got := wants[Problem](w, 422, "POST", "/api/v1/runs", p); got.Code != "bad_plan" || got.Detail == "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	changed := onePlan("s", w.state("s"))
	changed.Sessions[0].Path.Dest = "z" // with the hash of what was approved
	if got := wants[Problem](w, 422, "POST", "/api/v1/runs", changed); got.Code != "bad_plan" {
		t.Errorf("a changed plan: %+v", got)
	}
	if got := w.state("s"); got.Serial != 1 {
		t.Errorf("what was refused changed the state: %+v", got)
	}
}

func TestApplyTakesGarbage(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		body   string
		status int
	}{
		"empty":     {"", 400},
		"no JSON":   {"\x00\xff{", 400},
		"an array":  {"[]", 400},
		"deep":      {strings.Repeat("[", 50_000), 400},
		"two plans": {"{} {}", 400},
		"null":      {"null", 422},
		"wrong":     {`{"sessions":7}`, 400},
		"too large": {`{"hash":"` + strings.Repeat("a", 200_000) + `"}`, 413},
	} {
		status, answer := w.call(Operator, "POST", "/api/v1/runs", []byte(c.body))
		var p Problem
		if err := json.Unmarshal(answer, &p); status != c.status || err != nil || p.Code == "" || p.Detail == "" {
			t.Errorf("%s: status %d, want %d: %s", name, status, c.status, answer)
		}
	}
	// A length that is not declared is bounded as well.
	r, err := http.NewRequestWithContext(t.Context(), "POST", w.http.URL+"/api/v1/runs", struct{ *bytes.Reader }{bytes.NewReader([]byte(`{"hash":"` + strings.Repeat("a", 200_000)))})
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = -1
	r.Header.Set("Authorization", "Bearer operator")
	answer, err := w.http.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != 413 {
		t.Errorf("a chunked body: status %d, want 413", answer.StatusCode)
	}
	for path, status := range map[string]int{
		"runs/zz":                             404,
		"runs/00000000":                       404,
		"runs?limit=-1":                       400,
		"runs?limit=x":                        400,
		"records":                             400,
		"records?path=x-%3Ey&since=yesterday": 400,
		"nothing":                             404,
		"runs/%2e%2e%2fetc":                   404,
		"suites/no%20such/x/y":                404,
	} {
		if got, answer := w.call(Viewer, "GET", "/api/v1/"+path, nil); got != status || !json.Valid(answer) {
			t.Errorf("GET %s: status %d, want %d: %s", path, got, status, answer)
		}
	}
}

func TestRoles(t *testing.T) {
	w := newWorld(t)
	for _, r := range w.api.routes() {
		path := Prefix + strings.NewReplacer("{run}", "00000000", "{suite}", "s", "{source}", "infra").Replace(r.path)
		for role, want := range map[Role]int{"": 401, "stranger": 401, "nothing": 403} {
			if got, _ := w.call(role, r.method, path, nil); got != want {
				t.Errorf("%s %s as %q: status %d, want %d", r.method, path, role, got, want)
			}
		}
		for _, role := range []Role{Viewer, Operator, Admin} {
			got, _ := w.call(role, r.method, path, nil)
			if refused := got == 401 || got == 403; refused == role.May(r.role) {
				t.Errorf("%s %s as %s: status %d", r.method, path, role, got)
			}
		}
		if r.method != "GET" && r.role == Viewer {
			t.Errorf("%s %s changes something and is for viewers", r.method, path)
		}
	}
}

func TestLock(t *testing.T) {
	w := newWorld(t)
	run := wants[apply.Started](w, 201, "POST", "/api/v1/runs", onePlan("s", plan.State{})).Run

	other := onePlan("s", w.state("s"))
	other.Tests[0].Params["size"] = 128.0
	other.Hash = other.Digest()
	got := wants[Problem](w, 423, "POST", "/api/v1/runs", other)
	if got.Code != "locked" || got.Lock == nil || got.Lock.Run != run || got.Lock.Holder != "ann@laptop" || !strings.Contains(got.Detail, "ann@laptop") {
		t.Errorf("another plan: %+v", got)
	}
	if got := wants[Problem](w, 423, "DELETE", "/api/v1/suites/s", nil); got.Lock == nil {
		t.Errorf("destroy: %+v", got)
	}
	if got := wants[apply.Started](w, 200, "POST", "/api/v1/runs", onePlan("s", w.state("s"))); !got.Attached || got.Run != run {
		t.Errorf("the same work: %+v, want attached to %s", got, run)
	}
	// Another suite is free.
	wants[apply.Started](w, 201, "POST", "/api/v1/runs", onePlan("t", plan.State{}))
	for range 2 {
		w.steps <- step{end: true}
	}
	w.read(run, "")
	next := wants[apply.Started](w, 201, "POST", "/api/v1/runs", other)
	if next.Attached || next.Run == run {
		t.Errorf("after the end: %+v", next)
	}
}

func TestCancel(t *testing.T) {
	w := newWorld(t)
	run := wants[apply.Started](w, 201, "POST", "/api/v1/runs", onePlan("s", plan.State{})).Run
	wants[apply.Started](w, 202, "POST", "/api/v1/runs/"+run+"/cancel", nil)
	events := w.read(run, "")
	if last := events[len(events)-1]; last.name != feed.Ended || !strings.Contains(last.data, `"cancelled":true`) {
		t.Errorf("the last event is %+v", last)
	}
	if got := wants[Problem](w, 409, "POST", "/api/v1/runs/"+run+"/cancel", nil); got.Code != "ended" {
		t.Errorf("cancelled twice: %+v", got)
	}
}

func TestCloseCancelsAndRecords(t *testing.T) {
	w := newWorld(t)
	run := wants[apply.Started](w, 201, "POST", "/api/v1/runs", onePlan("s", plan.State{})).Run
	w.runs.Close()
	found, err := w.store.FindRun(t.Context(), run)
	if err != nil || !found.Finished() || !found.Report.Cancelled {
		t.Errorf("the run is %+v, %v", found, err)
	}
	if got := wants[Problem](w, 503, "POST", "/api/v1/runs", onePlan("t", plan.State{})); got.Code != "closing" {
		t.Errorf("a plan after the end: %+v", got)
	}
}

// Who asks while the store is away hears that it is, and what it is, but not where.
func TestStoreAway(t *testing.T) {
	w, to := newWorld(t), httptest.NewRecorder()
	w.api.refuse(to, httptest.NewRequest("GET", "/api/v1/runs", nil), &store.Away{Why: "its server does not answer", Err: errors.New("list runs in postgres://db")})
	if text := to.Body.String(); to.Code != 503 || !strings.Contains(text, `"unavailable"`) || !strings.Contains(text, "its server does not answer") || strings.Contains(text, "//db") {
		t.Errorf("status %d: %s", to.Code, text)
	}
}

// The description has exactly the routes there are, with their roles.
func TestDescription(t *testing.T) {
	w := newWorld(t)
	var doc struct {
		OpenAPI    string
		Components struct {
			Schemas map[string]json.RawMessage
		}
		Paths map[string]map[string]struct {
			Role      Role                       `json:"x-netp-role"`
			Responses map[string]json.RawMessage `json:"responses"`
		}
	}
	_, text := w.call(Viewer, "GET", "/api/v1/openapi.json", nil)
	if err := json.Unmarshal(text, &doc); err != nil || doc.OpenAPI != "3.1.0" {
		t.Fatalf("version %q, %v", doc.OpenAPI, err)
	}
	described := 0
	for _, methods := range doc.Paths {
		described += len(methods)
	}
	routes := w.api.routes()
	for _, r := range (enrol.API{}).Routes() {
		routes = append(routes, route{method: r.Method, path: strings.TrimPrefix(r.Path, Prefix), role: r.Least})
	}
	if described != len(routes) {
		t.Errorf("%d operations are described, there are %d", described, len(routes))
	}
	for _, r := range routes {
		op, ok := doc.Paths["/"+r.path][strings.ToLower(r.method)]
		if !ok || op.Role != r.role {
			t.Errorf("%s %s: described %v with role %q, want %q", r.method, r.path, ok, op.Role, r.role)
		}
		for _, status := range []string{"401", "403"} {
			if op.Responses[status] == nil {
				t.Errorf("%s %s: no answer %s is described", r.method, r.path, status)
			}
		}
	}
	for _, part := range strings.Split(string(text), `"#/components/schemas/`)[1:] {
		name, _, _ := strings.Cut(part, `"`)
		if doc.Components.Schemas[name] == nil {
			t.Errorf("the schema %s is named, but not there", name)
		}
	}
	var run struct{ Properties map[string]json.RawMessage }
	if err := json.Unmarshal(doc.Components.Schemas["Run"], &run); err != nil {
		t.Fatal(err)
	}
	for _, f := range append(reflect.VisibleFields(reflect.TypeFor[Run]()), reflect.VisibleFields(reflect.TypeFor[store.Run]())...) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && run.Properties[name] == nil {
			t.Errorf("the field %s of a run is not described", name)
		}
	}
	var codes []string
	var problem struct {
		Properties struct{ Error struct{ Enum []string } }
	}
	if err := json.Unmarshal(doc.Components.Schemas["Problem"], &problem); err != nil {
		t.Fatal(err)
	}
	codes = problem.Properties.Error.Enum
	for _, code := range []string{"unauthorized", "forbidden", "stale", "applied", "locked", "too_large", "bad_plan", "ended", "closing", "internal", "conflict", "timeout"} {
		if !slices.Contains(codes, code) {
			t.Errorf("the code %s is not described", code)
		}
	}
}
