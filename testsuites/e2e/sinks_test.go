package e2e

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/runner/gitops"
	"github.com/netpupper/netp/testsuites/freeport"
)

// buildPlugin builds a bundled sink into a directory.
func buildPlugin(t *testing.T, dir, kind string) {
	t.Helper()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "netp-sink-"+kind), "github.com/netpupper/netp/plugins/"+kind)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build plugin %s: %v\n%s", kind, err, out)
	}
}

// delivered are the ids of the records in a file of the jsonl sink, in order.
func delivered(t *testing.T, file string) []string {
	t.Helper()
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []string
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var r netp.Record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return out // being written
		}
		out = append(out, r.ID)
	}
	return out
}

// deliveredAll waits until a file has exactly the records of the suites.
func (d *deployment) deliveredAll(file string, suites ...string) {
	d.t.Helper()
	file = filepath.Join(d.path("controller"), "sinks", file)
	var want, got []string
	eventually(d.t, "all records in "+file, func() bool {
		want = nil
		for _, suite := range suites {
			for _, r := range d.records(suite) {
				want = append(want, r.ID)
			}
		}
		got = delivered(d.t, file)
		return len(got) >= len(want)
	})
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		d.t.Errorf("%s has %d records, want those %d of %v, each once", file, len(got), len(want), suites)
	}
}

// get asks the controller without the client, whose certificate is checked elsewhere.
func (d *deployment) get(method, path string, header http.Header, body string) (int, string) {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), method, "https://"+d.http+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	r.Header = header
	c := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer c.CloseIdleConnections()
	answer, err := c.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

const jsonlSink = `
sink "jsonl" "%s" { path = "%s" }
`

func sinkBlock(name, file string) string {
	return strings.Replace(strings.Replace(jsonlSink, "%s", name, 1), "%s", file, 1)
}

// TestSinks delivers to sinks of every origin: of a suite from git, of one that was
// applied by hand, and of the controller's file; sinks come and go without a restart.
func TestSinks(t *testing.T) {
	o := newOrigin(t)
	binary := buildNetp(t)
	plugins := t.TempDir()
	buildPlugin(t, plugins, "jsonl")
	secret := writeText(t, filepath.Join(t.TempDir(), "secret"), "a secret of a webhook\n")
	text := sinkBlock("all", "all.jsonl") + `
repository "wan" {
  url      = "` + o.url() + `"
  interval = "1h"
}
webhook { secret_file = "` + secret + `" }
`
	file := writeText(t, filepath.Join(t.TempDir(), "controller.hcl"), text)
	first := o.push(map[string]string{"mesh/suite.hcl": meshSuite("mesh", "", sinkBlock("noc", "mesh.jsonl"))})
	d := &deployment{t: t, binary: binary, dir: t.TempDir(), http: freeport.Address(t), bus: freeport.Address(t),
		flags: []string{"-config", file}, env: []string{"NETP_PLUGIN_DIR=" + plugins}}
	d.startController()
	d.edge("a", "b")
	d.must("reconcile", "wan")
	d.ready("wan", first)
	d.all("mesh", 2)
	d.deliveredAll("mesh.jsonl", "mesh")

	// By hand, with a standing test: without a terminal the approval must be a flag.
	suite := t.TempDir()
	write := func(text string) { writeText(t, filepath.Join(suite, "suite.hcl"), text) }
	write(meshSuite("hand", `every = "1h"`, sinkBlock("hand", "hand.jsonl")))
	if _, complaint, err := d.command("apply", suite); err == nil || !strings.Contains(complaint, "-auto-approve") {
		t.Errorf("a change of standing tests without approval: %v %s", err, complaint)
	}
	if out, complaint, err := d.command("apply", "-auto-approve", "-inconclusive=pass", suite); err != nil {
		t.Fatalf("apply: %v\n%s%s", err, out, complaint)
	}
	if s := d.status().Standing; len(s) != 1 || s[0].Suite != "hand" {
		t.Errorf("the standing tests are %+v", s)
	}
	d.deliveredAll("hand.jsonl", "hand")
	d.deliveredAll("all.jsonl", "mesh", "hand")
	if _, complaint, err := d.command("apply", "-inconclusive=pass", suite); err != nil {
		t.Errorf("nothing changes, and still there is a question: %v %s", err, complaint)
	}
	if _, complaint, err := d.command("destroy", "hand"); err == nil || !strings.Contains(complaint, "-auto-approve") {
		t.Errorf("destroy of standing tests without approval: %v %s", err, complaint)
	}
	if out := d.must("destroy", "-auto-approve", "hand"); !strings.Contains(out, "Ended the standing tests, 1 in all") {
		t.Errorf("destroy says %s", out)
	}
	if s := d.status().Standing; len(s) != 0 {
		t.Errorf("after destroy the standing tests are %+v", s)
	}

	// A suite of a source is not applied by hand; unchanged it may be run.
	write(meshSuite("mesh", `every = "1h"`, ""))
	if _, complaint, err := d.command("apply", suite); err == nil || !strings.Contains(complaint, "belongs to the source wan") { // without a question
		t.Errorf("another mesh: %v %s", err, complaint)
	}
	write(meshSuite("mesh", "", sinkBlock("noc", "mesh.jsonl")))
	if out, complaint, err := d.command("apply", "-inconclusive=pass", suite); err != nil {
		t.Errorf("run mesh as it is: %v %s%s", err, out, complaint)
	}

	// The sink moves with a commit that a webhook announces; a bad one holds it back.
	moved := o.push(map[string]string{"mesh/suite.hcl": meshSuite("mesh", "", sinkBlock("other", "other.jsonl"))})
	mac := hmac.New(sha256.New, []byte("a secret of a webhook"))
	mac.Write([]byte("{}"))
	if status, _ := d.get("POST", "/api/webhook", http.Header{"X-Gitlab-Token": {"wrong"}}, "{}"); status != 401 {
		t.Errorf("a webhook with a wrong secret: status %d", status)
	}
	signature := http.Header{"X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(mac.Sum(nil))}}
	if status, text := d.get("POST", "/api/webhook", signature, "{}"); status != 202 {
		t.Errorf("the webhook: status %d %s", status, text)
	}
	d.ready("wan", moved)
	d.deliveredAll("other.jsonl", "mesh")
	o.push(map[string]string{"mesh/suite.hcl": meshSuite("mesh", "", `sink "jsonl" "bad" {}`)})
	d.must("reconcile", "wan")
	if bad := d.unready("wan", gitops.ReasonReconcile, moved); !strings.Contains(bad.Condition(gitops.Ready).Message, "sink.jsonl.bad") {
		t.Errorf("the fault of the sink is told as %q", bad.Condition(gitops.Ready).Message)
	}

	// Prometheus needs a token, and finds it all.
	if status, text := d.get("GET", "/metrics", nil, ""); status != 401 || !strings.Contains(text, "tokens create -role viewer -name") {
		t.Errorf("metrics without a token: status %d: %s", status, text)
	}
	token := strings.TrimSpace(d.must("tokens", "create", "-role", "viewer", "-name", "prometheus"))
	status, text := d.get("GET", "/metrics", http.Header{"Authorization": {"Bearer " + lastField(token)}}, "")
	for _, want := range []string{`netp_agent_up{agent="a"} 1`, `netp_session_rtt_seconds{`, `netp_assertion_status{`, `netp_sink_records_delivered_total{sink="mesh/sink.jsonl.other"`, `netp_sink_records_delivered_total{sink="sink.jsonl.all"`, `netp_source_condition{source="wan",status="false",type="Ready"} 1`} {
		if !strings.Contains(text, want) {
			t.Errorf("metrics (status %d) lack %s", status, want)
		}
	}
}

func lastField(text string) string {
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return ""
	}
	return fields[len(fields)-1]
}

// TestSinkSecrets has a suite that is applied from elsewhere bring a secret: the
// controller uses it, also after a restart, and shows it to nobody.
func TestSinkSecrets(t *testing.T) {
	const secret = "open-sesame-open-sesame"
	var mu sync.Mutex           // guards signed
	signed := map[string]bool{} // ids of records: one that is delivered while the controller is killed comes again
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		stamp, mac, _ := strings.Cut(r.Header.Get("Netp-Signature"), ",v1=")
		h := hmac.New(sha256.New, []byte(secret))
		h.Write([]byte(strings.TrimPrefix(stamp, "t=") + "." + string(body)))
		var delivery struct{ Records []netp.Record }
		if err == nil && hex.EncodeToString(h.Sum(nil)) == mac && json.Unmarshal(body, &delivery) == nil {
			mu.Lock()
			for _, record := range delivery.Records {
				signed[record.ID] = true
			}
			mu.Unlock()
		}
	}))
	defer receiver.Close()
	plugins := t.TempDir()
	buildPlugin(t, plugins, "webhook")
	d := &deployment{t: t, binary: buildNetp(t), dir: t.TempDir(), http: freeport.Address(t), bus: freeport.Address(t), env: []string{"NETP_PLUGIN_DIR=" + plugins}}
	d.startController()
	d.edge("a", "b")
	suite := t.TempDir()
	writeText(t, filepath.Join(suite, "suite.hcl"), meshSuite("secret", "", `
sink "webhook" "hook" {
  url    = "`+receiver.URL+`"
  secret = env("NETP_TEST_SECRET")
}`))
	t.Setenv("NETP_TEST_SECRET", secret) // of the command: the controller runs already
	took := func(n int) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(signed) == n
		}
	}
	d.must("apply", "-inconclusive=pass", suite)
	eventually(t, "two signed records", took(2))
	d.controller.kill()
	os.Unsetenv("NETP_TEST_SECRET") // the controller that starts has it from the store alone
	d.startController()
	if n := d.status().Sinks; len(n) != 1 || n[0].Sink != "secret/sink.webhook.hook" {
		t.Errorf("after a restart the sinks are %+v", n)
	}
	d.await("a", "ready")
	d.await("b", "ready")
	t.Setenv("NETP_TEST_SECRET", secret)
	d.must("apply", "-inconclusive=pass", suite)
	eventually(t, "two more signed records", took(4))
	if n := d.status().Sinks; len(n) != 1 || n[0].Sink != "secret/sink.webhook.hook" || n[0].Failing {
		t.Errorf("the sinks are %+v", n)
	}
	told := d.must("status", "-json") + d.must("runs", "-json") + d.controller.log.String() + d.controller.out.String()
	files, err := filepath.Glob(filepath.Join(d.path("controller"), "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil {
			told += string(text)
		}
	}
	if strings.Contains(told, secret) {
		t.Error("the secret is told or lies about")
	}
	if info, err := os.Stat(filepath.Join(d.path("controller"), "secrets.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key for secrets is %v, %v", info, err)
	}
}
