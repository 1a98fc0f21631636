package config

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/lang/diag"
)

func testOptions() Options {
	environment := map[string]string{"PORTAL": "portal.example.org", "TOKEN": "s3cret-token", "DATABASE": "postgres://netp:pass@db/netp"}
	return Options{
		Environ: func(name string) (string, bool) { v, ok := environment[name]; return v, ok },
		Kinds:   []string{"rtt", "tcp", "udp"},
		CheckEndpoint: func(pattern string) error {
			if strings.Contains(pattern, "/") {
				return fmt.Errorf("%q is no host", pattern)
			}
			return nil
		},
	}
}

// marker is an expected error, on the line it is about: #! Summary | part of the detail
var marker = regexp.MustCompile(`#! ([^|]+?)(?: \| (.*))?$`)

// TestFaults reads each bad file and compares all diagnostics with those that the
// file's comments announce.
func TestFaults(t *testing.T) {
	for kind, read := range map[string]func(string) diag.List{
		"agent":      func(f string) diag.List { _, ds := ReadAgent(f, Agent{}, testOptions()); return ds },
		"controller": func(f string) diag.List { _, ds := ReadController(f, Controller{}, testOptions()); return ds },
	} {
		files, err := filepath.Glob("testdata/" + kind + "/*.hcl")
		if err != nil || len(files) < 2 {
			t.Fatalf("files of %s: %v, %v", kind, files, err)
		}
		for _, file := range files {
			t.Run(kind+"/"+filepath.Base(file), func(t *testing.T) { checkFaults(t, file, read(file)) })
		}
	}
}

func checkFaults(t *testing.T, file string, ds diag.List) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{} // detail by line and summary
	for i, line := range strings.Split(string(text), "\n") {
		if m := marker.FindStringSubmatch(line); m != nil {
			want[fmt.Sprintf("line %d: %s", i+1, m[1])] = m[2]
		}
	}
	for _, d := range ds {
		if d.Range == nil || d.Range.Filename != file || d.Snippet == nil || d.Snippet.Code == "" || d.Severity != diag.Error {
			t.Errorf("no error with a place and an excerpt: %+v", d)
			continue
		}
		key := fmt.Sprintf("line %d: %s", d.Range.Start.Line, d.Summary)
		part, expected := want[key]
		if !expected {
			t.Errorf("unexpected: %s | %s", key, d.Detail)
		} else if !strings.Contains(d.Detail, part) {
			t.Errorf("%s: detail %q lacks %q", key, d.Detail, part)
		}
		delete(want, key)
	}
	for key := range want {
		t.Errorf("not reported: %s", key)
	}
}

func TestAgentFile(t *testing.T) {
	defaults := Agent{Listen: ":8620", Drain: 30 * time.Second, Limits: Limits{Limits: netp.Limits{Rate: 1e6}}}
	got, ds := ReadAgent("testdata/agent/good.hcl", defaults, testOptions())
	if len(ds) > 0 {
		t.Fatal(ds)
	}
	want := Agent{
		Name: "syd", Tags: map[string]string{"site": "syd", "lat": "-33.87", "edge": "true"},
		Data: "/var/lib/netp-agent", Listen: "[2001:db8::1]:8620", Address: "192.0.2.7", NAT: true,
		JoinFile: "testdata/agent/token", Drain: time.Minute,
		Interfaces: []netp.Interface{
			{Name: "telco-a", Address: "10.1.0.10", Netns: "blue", Capacity: 1e8}, {Name: "telco-b", Device: "wan1"}},
		Limits: Limits{
			Limits:    netp.Limits{Rate: 1e7, Duration: 5 * time.Minute, Sessions: 8, BytesPerDay: 50e9},
			Peers:     []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::1/128")},
			Endpoints: []string{"*.example.net", "portal.example.org"}, Kinds: []string{"rtt", "udp"},
		},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("agent (-want +got):\n%s", diff)
	}
}

func TestSilentFileLeavesTheDefaults(t *testing.T) {
	file := filepath.Join(t.TempDir(), "agent.hcl")
	if err := os.WriteFile(file, []byte("limits {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	defaults := Agent{Name: "a", Listen: ":8620", Drain: time.Second, Tags: map[string]string{"x": "y"},
		Limits: Limits{Limits: netp.Limits{Rate: 1e6, Duration: time.Minute}, Endpoints: []string{"e"}}}
	got, ds := ReadAgent(file, defaults, testOptions())
	if diff := cmp.Diff(defaults, got); diff != "" || len(ds) > 0 {
		t.Errorf("%v (-want +got):\n%s", ds, diff)
	}
}

func TestControllerFile(t *testing.T) {
	got, ds := ReadController("testdata/controller/good.hcl", Controller{}, testOptions())
	if len(ds) > 0 {
		t.Fatal(ds)
	}
	want := Controller{
		Data: "/var/lib/netp-controller", HTTP: ":8640", Bus: "0.0.0.0:4222", Advertise: []string{"netp.example.net"},
		Store: "postgres://netp:pass@db/netp", Retention: 90 * 24 * time.Hour,
		Repositories: []Repository{
			{Name: "backbone", URL: "git@git.example.net:net/suites.git", Branch: "main", Path: "suites", Interval: 30 * time.Second,
				AllowedSigners: "/etc/netp/signers", SSHKey: "testdata/controller/keys/id", KnownHosts: "testdata/controller/keys/known_hosts",
				Env: map[string]string{"TOKEN": "s3cret-token"}},
			{Name: "lab", URL: "https://git.example.net/lab.git", TokenFile: "/etc/netp/lab.token", AllowRewrite: true},
		},
		Directories: []Directory{{Name: "local", Path: "testdata/controller/suites",
			Env: map[string]string{"SITE": "syd", "TOKEN": "s3cret-token"}}},
		WebhookSecretFile: "testdata/controller/webhook.secret",
		Sinks: []lang.Sink{{Addr: "sink.influxdb.noc", Type: "influxdb",
			Arguments: []byte(`{"headers":{"Accept":"text/plain"},"url":"http://influx.example:8086"}`),
			Secrets:   map[string]string{"token": "s3cret-token", "headers.X-Key": "s3cret-token"}}},
		Plugins: []lang.Plugin{{Name: "influxdb", Source: "example.com/acme/influxdb", Version: "~> 1.2"}},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(lang.Sink{}, "Range")); diff != "" {
		t.Errorf("controller (-want +got):\n%s", diff)
	}
}

func TestUnreadableFiles(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "binary.hcl")
	if err := os.WriteFile(binary, []byte{0xff, 0xfe, 0}, 0o600); err != nil {
		t.Fatal(err)
	}
	for file, part := range map[string]string{
		filepath.Join(dir, "none.hcl"): "There is no file", dir: "not a regular file", binary: "UTF-16",
		filepath.Join(dir, "deep.hcl"): "nested more than",
	} {
		if filepath.Base(file) == "deep.hcl" {
			if err := os.WriteFile(file, []byte("data = "+strings.Repeat("[", 200_000)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, ds := ReadController(file, Controller{}, testOptions())
		if len(ds) != 1 || !strings.Contains(ds[0].Detail, part) {
			t.Errorf("%s: %v, want one diagnostic with %q", file, ds, part)
		}
	}
}

func TestSecretsStayOutOfDiagnostics(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.hcl")
	if err := os.WriteFile(file, []byte("http = env(\"TOKEN\")\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, ds := ReadController(file, Controller{}, testOptions())
	if len(ds) != 1 || strings.Contains(fmt.Sprint(ds), "s3cret") {
		t.Errorf("%v, want one diagnostic without the secret", ds)
	}
}

func TestParseListen(t *testing.T) {
	for text, want := range map[string]string{
		":8620": "invalid IP 8620", "0.0.0.0:1": "0.0.0.0 1", "[::1]:65535": "::1 65535",
		"8620": "error", "x:1": "error", ":70000": "error", "": "error",
	} {
		a, p, err := ParseListen(text)
		got := fmt.Sprint(a, " ", p)
		if err != nil {
			got = "error"
		}
		if strings.ReplaceAll(got, "  ", " ") != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// TestSampleFiles reads the files that the systemd units come with.
func TestSampleFiles(t *testing.T) {
	if _, ds := ReadAgent("../../deploy/systemd/agent.hcl", Agent{}, testOptions()); len(ds) > 0 {
		t.Error(ds)
	}
	if _, ds := ReadController("../../deploy/systemd/controller.hcl", Controller{}, testOptions()); len(ds) > 0 {
		t.Error(ds)
	}
}
