package lang

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netpupper/netp/lang/diag"
)

// onProcessors loads a suite of one file with so many processors, under limits.
func onProcessors(t *testing.T, n int, file, text string, limits Limits) (*loader, string, diag.List) {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(n))
	dir := t.TempDir()
	for name, text := range map[string]string{file: text, "name.txt": "file"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := testOptions()
	o.Limits = limits
	l := newLoader(dir, o)
	suite, ds := l.result()
	if suite == nil {
		return l, "", ds
	}
	return l, dump(t, suite), ds
}

// eachPath is a suite whose paths are made of local.all.
func eachPath(all, more string) string {
	return `suite "s" {}
locals {
  all = ` + all + `
}
agent "a" {
  interface "eth" {
    address = "192.0.2.2"
  }
}
agent "b" {
  interface "lte" {
    address = "192.0.2.1"
  }
}
path "p" {
  for_each = local.all
  from     = agent.a
  to       = agent.b
` + more + `
}
profile "rtt" "r" {}
test "t" {
  path    = path.p
  profile = profile.rtt.r
  assert "loss" { condition = loss.ratio <= 0.1 }
}
`
}

// TestPartsMakeNoDifference loads suites that are evaluated in parts, or would be but for something, on one processor and on several: what
// comes out, what is said and how much was metered is the same.
func TestPartsMakeNoDifference(t *testing.T) {
	const n = 3*partLength + 5
	numbered := fmt.Sprintf(`{ for i in range(%d) : "k${i}" => { n = i, third = "${i / 3}", name = "x" } }`, n)
	tags := "tags = { label = \"path ${each.key}\", n = each.value.n }"
	for name, c := range map[string]struct {
		file, text string
		limits     Limits
		fault      string // what is said first; "" for a suite without any
	}{
		"plain":           {text: eachPath(numbered, tags)},
		"functions":       {text: eachPath(fmt.Sprintf(`{ for i in range(%d) : format("k%%03d", i) => { n = upper("x${i}") } }`, n), tags)},
		"list":            {text: eachPath(fmt.Sprintf(`toset([for i, k in range(%d) : "${i}-${k}"])`, n), "tags = { n = each.key }") + fmt.Sprintf("locals {\n  list = [for i, k in range(%d) : i * k]\n}\nagent \"c\" { tags = { n = length(local.list) } }", n)},
		"map":             {text: eachPath(`{ for k, v in local.more : "${k}-${v.n}" => v }`, tags) + "locals {\n  more = " + numbered + "\n}"},
		"condition":       {text: eachPath(fmt.Sprintf(`{ for i in range(%d) : "k${i}" => { n = i } if i %% 2 == 0 }`, n), tags)},
		"grouped":         {text: eachPath(fmt.Sprintf(`{ for i in range(%d) : "k${i %% 600}" => i... }`, n), "tags = { n = each.value[0] }")},
		"twice":           {text: eachPath(fmt.Sprintf(`{ for i in range(%d) : "k${i %% %d}" => { n = i } }`, n, n-1), tags), fault: "Duplicate object key"},
		"fault in a loop": {text: eachPath(fmt.Sprintf(`{ for i in range(%d) : "k${i}" => { n = [1, 2][i == 700 ? 5 : 0] } }`, n), tags), fault: "Invalid index"},
		"fault of a path": {text: eachPath(numbered, `tags = { n = [1, 2][each.value.n == 700 ? 5 : 0] }`), fault: "Invalid index"},
		"warning":         {text: eachPath(numbered, `via = each.value.n == 700 ? "lte" : null`)},
		"secret in turn":  {text: eachPath(fmt.Sprintf(`{ for i in range(%d) : "k${i}" => { n = nonsensitive(sensitive("secret-${i}")) } }`, n), `except = ["a->${each.value.n}"]`), fault: `no pair "a->(sensitive)"`},
		"secret shown":    {text: eachPath(fmt.Sprintf(`{ for i in range(%d) : "k${i}" => { n = i == 700 ? sensitive("secret") : "x" } }`, n), tags), fault: "Sensitive value"},
		"file":            {text: eachPath(fmt.Sprintf(`{ for i in range(%d) : "k${i}" => { n = file("name.txt") } }`, n), tags)},
		"file in a path":  {text: eachPath(numbered, `tags = { n = "${file("name.txt")} ${each.key}" }`)},
		"no such pair":    {text: eachPath(numbered, `except = ["a->${each.key}"]`), fault: "Unknown pair"},
		"link":            {text: eachPath(numbered, `links = each.value.n == 700 ? [link.l] : []`) + `link "l" {}`},
		"JSON": {file: "main.netp.json", text: fmt.Sprintf(`{"suite": {"s": {}}, "locals": {"all": "${{ for i in range(%d) : \"k${i}\" => i }}"},
			"agent": {"a": {}, "b": {}}, "path": {"p": {"for_each": "${local.all}", "from": "${agent.a}", "to": "${agent.b}", "tags": {"n": "${each.value}"}}}}`, n)},
		"too many steps":    {text: eachPath(numbered, tags), limits: Limits{Steps: 20 * n}, fault: "more than 15460 values"},
		"too many in paths": {text: eachPath(numbered, tags), limits: Limits{Steps: 26 * n}, fault: "more than 20098 values"},
		"too much text": {text: eachPath(fmt.Sprintf(`{ for i in range(%d) : "k${i}" => { n = strcontains("${local.pad}-", "z") } }`, n), tags) +
			"locals {\n  pad = join(\"\", [for i in range(1000) : \"x\"])\n}", limits: Limits{StringBytes: 20_000}, fault: "strings of one expression"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.file == "" {
				c.file = "main.hcl"
			}
			one, want, saidByOne := onProcessors(t, 1, c.file, c.text, c.limits)
			if c.fault == "" && saidByOne.HasErrors() || !strings.Contains(firstError(saidByOne), c.fault) {
				t.Fatalf("want the fault %q, got %s", c.fault, firstError(saidByOne))
			}
			for range 2 {
				many, got, said := onProcessors(t, 4, c.file, c.text, c.limits)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("another suite (-1 processor +4)\n%s", diff)
				}
				if diff := cmp.Diff(saidByOne, said); diff != "" {
					t.Fatalf("other diagnostics (-1 processor +4)\n%s", diff)
				}
				if one.meter.steps != many.meter.steps {
					t.Fatalf("%d steps on one processor, %d on four", one.meter.steps, many.meter.steps)
				}
			}
		})
	}
}

// TestPartsAreBeside shows that what can be evaluated in parts is: the loader itself makes only the first of many.
func TestPartsAreBeside(t *testing.T) {
	const n = 2*partLength + 1
	l, _, ds := onProcessors(t, 4, "main.hcl", eachPath(fmt.Sprintf(`{ for i in range(%d) : "k${i}" => { third = "${i / 3}" } }`, n), ""), Limits{})
	if ds.HasErrors() {
		t.Fatal(ds.Err())
	}
	if made := len(l.meter.fraction); made > 0 { // each loader keeps the texts of numbers that it made
		t.Errorf("%d fractions were written in turn", made)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	paths := l.scopes[0].items["path.p"]
	beside, _, _ := decodeEach(paths, func(in *instance) bool { return in.scope.loader != l })
	if beside[0] || slices.Contains(beside[1:], false) {
		t.Errorf("of the instances, these are decoded beside: %v", beside)
	}
	// What is not decoded yet is decoded once, by the loader itself.
	l.scopes[0].items["agent.b"].state = untouched
	beside, _, _ = decodeEach(paths, func(in *instance) bool {
		if in.key != "k0" {
			in.env.eval(in.block.Body.Attributes["to"].Expr)
		}
		return in.scope.loader != l
	})
	if slices.Contains(beside, true) {
		t.Errorf("of the instances that decode an agent, these are decoded beside: %v", beside)
	}
}
