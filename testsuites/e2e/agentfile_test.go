package e2e

import (
	"os"
	"strings"
	"testing"
)

// write makes a file in the deployment's directory.
func (d *deployment) write(name, text string) (path string) {
	d.t.Helper()
	if err := os.WriteFile(d.path(name), []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
	return d.path(name)
}

// daemonsAgentFile starts agents by their files.
func daemonsAgentFile(t *testing.T, d *deployment) {
	d.write("token", d.token()+"\n")
	file := d.write("syd.hcl", `
		name      = "syd"
		tags      = { site = "syd" }
		data      = "syd"
		listen    = "127.0.0.1:0"
		join_file = "token"
		interface "telco-a" { address = "127.0.0.1" }
		limits {
		  rate     = "2Mbps"
		  duration = "30s"
		  kinds    = ["rtt", "udp"]
		}
	`)
	syd := d.start(nil, "agent", "-config", file, "-max-rate", "3Mbps", "-tag", "site=mel")
	d.await("syd", "ready")
	_, a := d.state("syd")
	if a.Limits.Rate != 3e6 || a.Limits.Duration.Seconds() != 30 || a.Tags["site"] != "mel" || len(a.Kinds) != 2 {
		t.Errorf("flags over file: %+v", a)
	}
	if i, ok := a.Interface("telco-a"); !ok || i.Address != "127.0.0.1" {
		t.Errorf("interfaces: %+v", a.Interfaces)
	}
	if code := syd.terminate(); code != 0 {
		t.Errorf("the stopped agent exits with %d", code)
	}
	// A file that is not there or not right keeps the agent from starting.
	for name, c := range map[string]struct{ text, why string }{
		"none":     {"", "There is no file"},
		"misspelt": {"name = \"syd\"\nlimits {\n  raet = \"1Mbps\"\n}\n", `Did you mean "rate"?`},
		"broken":   {"name = \"syd\"\nlimits {\n  rate = \"1Mbps\n", "syd.broken.hcl line 3"},
		"unit":     {"limits {\n  rate = \"1MB/s\"\n}\n", "counts bytes"},
	} {
		path := d.path("syd.none.hcl")
		if c.text != "" {
			path = d.write("syd."+name+".hcl", c.text)
		}
		p := d.start(nil, "agent", "-config", path, "-data", d.path("syd"), "-listen", "127.0.0.1:0")
		if code := p.exit(); code != 1 || !strings.Contains(p.log.String(), c.why) || !strings.Contains(p.log.String(), "the agent does not start") {
			t.Errorf("%s: exit code %d, want 1 and %q:\n%s", name, code, c.why, p.log)
		}
	}
}
