package plan

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netpupper/netp/lang"
)

const loadedSuite = `
suite "loaded" {
  confidence = 0.99
}

variable "max_loss" {
  type    = number
  default = 1
}

agent "syd" {
  interface "telco-a" { address = "10.1.0.10" }
}
agent "site" {
  for_each = toset(["mel", "per"])
  tags     = { role = "edge" }
}
agents "edge" { where = tags.role == "edge" }

path "core" {
  mesh   = [agent.syd, agents.edge]
  via    = "telco-a"
  except = ["syd->site-per"]
}
path "carrier" {
  for_each = toset(["a", "b"])
  from     = agent.syd
  to       = agent.site
}

profile "udp" "voice" {
  rate     = "50pps"
  size     = 200
  duration = "60s"
}

test "voice" {
  path    = path.core
  profile = profile.udp.voice
  every   = "5m"
  assert "loss" { condition = loss.ratio <= var.max_loss * percent }
}
test "one" {
  path    = path.core["syd->site-mel"]
  profile = profile.udp.voice
  assert "loss" { condition = loss.count == 0 }
}
test "carriers" {
  path    = [path.carrier["a"], path.carrier["b"]]
  profile = profile.udp.voice
  assert "loss" { condition = loss.count == 0 }
}
module "branch" {
  source = "./branch"
}
`

const loadedModule = `
agent "adl" {}
agent "hba" {}
path "x" {
  from = agent.adl
  to   = agent.hba
}
profile "udp" "voice" {
  rate     = "50pps"
  size     = 200
  duration = "60s"
}
test "t" {
  path    = path.x
  profile = profile.udp.voice
  assert "loss" { condition = loss.count == 0 }
}
`

// A suite as written becomes the plan one expects: the loader and the plan agree
// on addresses, keys and constants.
func TestPlanOfALoadedSuite(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "branch"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"suite.hcl": loadedSuite, "branch/branch.hcl": loadedModule} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	suite, diags := lang.Load(dir, lang.Options{Catalogue: catalogue})
	if diags.HasErrors() {
		t.Fatal(diags.Err())
	}
	in := input(suite)
	in.Inventory, in.Local = nil, true
	p := build(t, in)
	want := []string{
		`module.branch.test.t["adl->hba"]`,
		`test.carriers["carrier[a]:syd->site-mel"]`, `test.carriers["carrier[a]:syd->site-per"]`,
		`test.carriers["carrier[b]:syd->site-mel"]`, `test.carriers["carrier[b]:syd->site-per"]`,
		`test.one["syd->site-mel"]`,
		`test.voice["site-mel->site-per"]`, `test.voice["site-mel->syd"]`, `test.voice["site-per->site-mel"]`,
		`test.voice["site-per->syd"]`, `test.voice["syd->site-mel"]`,
	}
	if diff := cmp.Diff(want, addresses(p)); diff != "" {
		t.Errorf("sessions (-want +got)\n%s", diff)
	}
	for _, test := range p.Tests {
		if test.Addr != "test.voice" {
			continue
		}
		wanted := map[string]string{
			"kind": "udp", "rate": "50 pps", "every": "5m", "assert.loss": "loss.ratio <= var.max_loss * percent",
			"assert.loss.var.max_loss": "1", "assert.loss.confidence": "99 %", `path.core["syd->site-mel"]`: "via telco-a",
		}
		for name, text := range wanted {
			if got := test.Attributes[name]; got != text {
				t.Errorf("attribute %s of test.voice: got %q, want %q", name, got, text)
			}
		}
	}
}
