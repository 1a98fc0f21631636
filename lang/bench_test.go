package lang

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// explicitSuite writes a suite of n paths, each a block of its own of 18 lines,
// over several files.
func explicitSuite(tb testing.TB, n, files int) string {
	dir := tb.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	var b strings.Builder
	b.WriteString("suite \"big\" {}\nvariable \"limit\" { default = 0.1 }\nprofile \"rtt\" \"r\" { duration = \"10s\" }\n")
	for i := range 100 {
		fmt.Fprintf(&b, "agent \"a%d\" { tags = { site = \"s%d\" } }\n", i, i)
	}
	write("main.netp.hcl", b.String())
	for f := range files {
		b.Reset()
		for i := f; i < n; i += files {
			fmt.Fprintf(&b, `path "p%d" {
  # the way from one site to another
  from = agent.a%d
  to   = agent.a%d
  tags = {
    number  = %d
    carrier = "telco-%d"
    label   = "path ${var.limit}"
  }
}
test "t%d" {
  path    = path.p%d
  profile = profile.rtt.r
  every   = "5m"
  assert "loss" {
    condition = loss.ratio <= var.limit * percent
  }
}
`, i, i%100, (i+1)%100, i, i%7, i, i)
		}
		write(fmt.Sprintf("paths%d.netp.hcl", f), b.String())
	}
	return dir
}

func BenchmarkExplicit10000(b *testing.B) {
	dir := explicitSuite(b, 10_000, 4)
	o := testOptions()
	b.ReportAllocs()
	for b.Loop() {
		if s, ds := Load(dir, o); s == nil {
			b.Fatal(ds.Err())
		}
	}
}

func BenchmarkForEach10000(b *testing.B) {
	dir := b.TempDir()
	text := `suite "big" {}
locals { sites = { for i in range(10000) : "s${i}" => { lat = i, role = "edge" } } }
agent "hub" {}
agent "site" {
  for_each = local.sites
  tags     = { lat = each.value.lat, role = local.sites[each.key].role }
}
path "spoke" {
  for_each = local.sites
  from     = agent.hub
  to       = agent.site[each.key]
}
path "mesh" { mesh = [agent.hub, agent.site] }
profile "rtt" "r" {}
test "t" {
  for_each = local.sites
  path     = [path.spoke[each.key], path.mesh["hub->site-${each.key}"]]
  profile  = profile.rtt.r
  assert "loss" { condition = loss.ratio <= 0.1 * percent }
}
`
	if err := os.WriteFile(filepath.Join(dir, "main.netp.hcl"), []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if s, ds := Load(dir, testOptions()); s == nil {
			b.Fatal(ds.Err())
		}
	}
}
