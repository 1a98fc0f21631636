package lang

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/netpupper/netp/lang/diag"
)

// bombs are suites made to hurt whoever loads them.
func bombs() map[string]string {
	many := func(s string, n int) string { return strings.Repeat(s, n) }
	levels := func(n int, first, format string) string {
		var b strings.Builder
		fmt.Fprintf(&b, "locals {\n  l0 = %s\n", first)
		for i := 1; i <= n; i++ {
			prev := fmt.Sprintf("local.l%d", i-1)
			fmt.Fprintf(&b, "  l%d = %s\n", i, strings.ReplaceAll(format, "@", prev))
		}
		return b.String() + "}\n"
	}
	chain := func(n int) string {
		var b strings.Builder
		b.WriteString("locals {\n")
		for i := range n {
			fmt.Fprintf(&b, "  l%d = local.l%d + 1\n", i, i+1)
		}
		return b.String() + fmt.Sprintf("  l%d = 1\n}\n", n)
	}
	tags := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "  t%d = local.l1\n", i)
		}
		return b.String()
	}
	const n = bombSize
	const measured = "agent \"a\" {}\nagent \"b\" {}\npath \"p\" { mesh = [agent.a, agent.b] }\nprofile \"rtt\" \"r\" {}\ntest \"t\" {\n path = path.p\n profile = profile.rtt.r\n"
	return map[string]string{
		"brackets":         "locals { x = " + many("[", n),
		"parentheses":      "locals { x = " + many("(", n),
		"braces":           "locals { x = " + many("{", n),
		"object":           "locals { x = " + many("{a=", n/4),
		"bangs":            "locals { x = " + many("!", n) + "true }",
		"minuses":          "locals { x = " + many("-", n) + "1 }",
		"spaced minuses":   "locals { x = " + many("- ", n) + "1 }",
		"ternaries":        "locals { x = " + many("true ? 1 : ", n/8) + "2 }",
		"sum":              "locals { x = 1" + many(" + 1", n/4) + " }",
		"indexes":          "locals { x = a" + many("[b]", n/4) + " }",
		"splats":           "locals { x = a" + many("[*]", n/4) + " }",
		"steps":            "locals { x = a" + many(".b", n/2) + " }",
		"calls":            "locals { x = " + many("abs(", n/4),
		"templates":        "locals { x = " + many(`"${`, n/4),
		"escaped":          "locals { x = \"\\\"\" + " + many(`"${`, n/4),
		"directives":       "locals { x = \"" + many("%{ if true }", n/12) + "\" }",
		"heredocs":         "locals { x = " + many("<<A\n${", n/8),
		"one heredoc":      "locals {\n x = <<A\n" + many("${[", n/4) + "\nA\n}",
		"blocks":           many("agent \"a\" {\n", n/12),
		"blocks recovered": many("agent \"a\" {\n]\n", n/14),
		"comments":         many("/*", n) + many("[", 1000),
		"hidden brackets":  "locals {\n x = " + many("[ # ]\n", n/6),
		"number":           "locals { x = " + many("9", 5*n) + " }",
		"exponent":         "locals { x = \"${1e999999999}\" }",
		"grown exponent":   levels(40, "1e300", "@ * @") + "agent \"a\" { name = \"x${local.l40}\" }",
		"number text":      `locals { x = "` + many("9", 5*n) + `" + 1 }`,
		"text number":      "variable \"v\" {\n  type = number\n  default = \"1e600000000\"\n}\nlocals { x = \"x${var.v}\" }",
		"text operand":     `locals { x = "1e600000000" % 7 }`,
		"text argument":    `locals { x = try(cidrhost("10.0.0.0/8", "1e600000000"), 1) }`,
		"text summand":     `locals { x = sum(["1e600000000", 1]) }`,
		"format digits":    `locals { x = format("%% %[2]s %d", "7", 1, "1e600000000") }`,
		"formatlist text":  `locals { x = formatlist("%f", ["1", "1p2000000000"]) }`,
		"text limit":       measured + `assert "x" { condition = rtt.p99 < "1e600000000" % 7 } }`,
		"nested for":       "locals { x = [for a in range(1000) : [for b in range(1000) : [for c in range(1000) : a + b + c]]] }",
		"for in condition": measured + "assert \"x\" { condition = rtt.p99 < length([for a in range(1000) : [for b in range(1000) : [for c in range(1000) : a]]]) }\n}",
		"setproduct":       "locals { x = setproduct(range(100), range(100), range(100), range(100)) }",
		"range":            "locals { x = range(1000000000) }",
		"doubling":         levels(60, `["a", "b"]`, "[@, @]"),
		"text doubling":    levels(60, `"aaaaaaaaaa"`, `"${@}${@}${@}${@}${@}${@}${@}${@}${@}${@}"`),
		"wide template":    levels(4, `"`+many("a", 1000)+`"`, `"`+many("${@}", 900)+`"`),
		"deep value":       levels(500, `"a"`, "[[[[[[[[[[@]]]]]]]]]]"),
		"chain":            chain(n / 10),
		"format width":     `locals { x = format("%1000000000d", 1) }`,
		"join":             levels(1, `[for i in range(100000) : "aaaaaaaaaaaaaaaa"]`, `join("`+many("b", 1000)+`", @)`),
		"replace":          levels(1, `"`+many("a", 1<<19)+`"`, `replace(@, "", @)`),
		"indent":           `locals { x = indent(1000000000, "a\nb") }`,
		"jsonencode":       levels(1, `"`+many("a", 1<<19)+`"`, `jsonencode([for i in range(100000) : @])`),
		"jsondecode":       `locals { x = jsondecode("` + many("[", 50000) + `") }`,
		"yaml aliases":     "locals {\n x = yamldecode(<<A\na: &a [1,1,1,1]\nb: &b [*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nA\n)\n}",
		"yaml nesting":     `locals { x = yamldecode("` + many("[", 50000) + `") }`,
		"regex":            levels(1, `"`+many("a", 1<<19)+`"`, `regexall("(a?){500}", @)`),
		"distinct":         `locals { x = distinct([for i in range(100000) : i]) }`,
		"equality":         levels(1, "range(100000)", `[for i in @ : @ == @]`),
		"for_each":         "agent \"a\" { for_each = toset([for i in range(100000) : \"k${i}\"])\n name = \"a-${each.key}\" }\nagent \"b\" { for_each = toset([for i in range(100000) : \"k${i}\"]) }",
		"wide tags":        levels(1, `"`+many("a", 1<<19)+`"`, "@") + "agent \"a\" {\n tags = {\n" + tags(20) + "}\n}",
		"NUL":              many("\x00", n),
		"many faults":      many("x {}\n", n/5),
		"try":              `locals { x = try([for a in range(100000) : [for b in range(100000) : a]], 1) }`,
		"where":            `agents "a" { where = length([for a in range(100000) : [for b in range(100000) : a]]) > 1 }`,
	}
}

// TestBombs shows that each bomb ends in a diagnostic: without a bound it would
// not end at all, or not before the memory does.
func TestBombs(t *testing.T) {
	for name, text := range bombs() {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "main.netp.hcl"), []byte("suite \"s\" {}\n"+text), 0o600); err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			start := time.Now()
			o := testOptions()
			o.Limits.Time = time.Second
			s, ds := Load(dir, o)
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			t.Logf("%v, %d MB allocated in all: %s", took.Round(time.Millisecond), (after.TotalAlloc-before.TotalAlloc)>>20, firstError(ds))
			if s != nil || !ds.HasErrors() {
				t.Errorf("the bomb was loaded")
			}
			if len(ds) > 1100 {
				t.Errorf("%d diagnostics", len(ds))
			}
		})
	}
}

// TestNumberOfAVariable shows that a number from outside is bounded as one that is written: to write 1e600000000 out takes all memory.
func TestNumberOfAVariable(t *testing.T) {
	for _, c := range []struct{ declared, given string }{
		{"number", `"1e600000000"`},
		{"list(number)", `["1", "1e600000000"]`},
		{"object({ a = optional(number, \"1e600000000\") })", "{}"},
		{"number", `"1e-600000000"`},
	} {
		dir := t.TempDir()
		text := "suite \"s\" {}\nvariable \"v\" { type = " + c.declared + " }\nlocals { x = [var.v] }\n"
		if err := os.WriteFile(filepath.Join(dir, "main.netp.hcl"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		o := testOptions()
		o.Variables = []VariableValue{{Name: "v", Text: c.given, Source: "-var"}}
		_, ds := Load(dir, o)
		if len(ds) != 1 || ds[0].Summary != sumTooLarge || !strings.Contains(ds[0].Detail, `The variable "v"`) {
			t.Errorf("%s of %s: got %+v", c.given, c.declared, ds)
		}
	}
}

// TestDigits shows that strings of many digits do not come to where a number is made of them: for a megabyte that takes seconds.
func TestDigits(t *testing.T) {
	digits := strings.Repeat("7", 2*longText)
	joined := "d = join(\"\", [for i in range(200) : \"" + digits[:1000] + "\"])\nl = [1]\n"
	for name, text := range map[string]string{
		"argument":  `locals { x = tonumber("-0.` + digits + `") }`,
		"no number": `locals { x = try(tonumber("` + digits + `x"), 1) }`,
		"by name":   "locals {\nd = \"" + digits + "\"\nx = tonumber(local.d)\n}",
		"elements":  "locals {\n" + joined + "x = max([local.d]...)\n}",
		"key":       "locals {\n" + joined + "x = local.l[local.d]\n}",
		"default":   "variable \"v\" {\ntype = list(number)\ndefault = [\"" + digits + "\"]\n}",
		"optional":  "variable \"v\" {\ntype = object({ a = optional(number, \"" + digits + "\") })\ndefault = {}\n}",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "main.netp.hcl"), []byte("suite \"s\" {}\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, ds := Load(dir, testOptions())
		if len(ds) == 0 || !strings.Contains(ds[0].Detail, "A string begins with more than 65536 digits") {
			t.Errorf("%s: got %s", name, firstError(ds))
		}
	}
	for _, harmless := range []string{strings.Repeat("0", 2*longText), strings.Repeat("7a", longText), digits[:longText]} {
		if manyDigits(harmless) {
			t.Errorf("%s is refused", clip(harmless))
		}
	}
}

func firstError(ds diag.List) string {
	for _, d := range ds {
		if d.Severity == diag.Error {
			return fmt.Sprintf("%s: %s", d.Summary, clip(d.Detail))
		}
	}
	return "none"
}

func TestFileTooLargeIsNotRead(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "main.netp.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(100 << 20); err != nil { // sparse: takes no disk
		t.Fatal(err)
	}
	f.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, ds := Load(dir, testOptions())
	runtime.ReadMemStats(&after)
	if got := firstError(ds); !strings.HasPrefix(got, "Input too large") {
		t.Errorf("got %s", got)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
		t.Errorf("refusing a file of 100 MB took %d bytes", used)
	}
}
