package lang

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/netpupper/netp/lang/diag"
)

// FuzzLoad loads any bytes as a suite. Whatever they are, Load returns; there is a
// suite exactly when there is no error; and every range lies in its file.
func FuzzLoad(f *testing.F) {
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte, asJSON bool) {
		name := "main.netp.hcl"
		if asJSON {
			name = "main.netp.json"
		}
		sub, err := os.MkdirTemp(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(sub)
		if err := os.WriteFile(filepath.Join(sub, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
		o := testOptions()
		o.Limits = Limits{Time: 2 * time.Second, Steps: 200_000, Expansion: 1000, Elements: 10_000, StringBytes: 64 << 10, Instances: 1000}
		s, ds := Load(sub, o)
		if (s == nil) != ds.HasErrors() {
			t.Errorf("suite %v with %v", s, ds)
		}
		for _, d := range ds {
			checkDiagnostic(t, d, len(text))
		}
	})
}

func checkDiagnostic(t *testing.T, d diag.Diagnostic, size int) {
	t.Helper()
	if d.Summary == "" || d.Summary == sumInternal {
		t.Errorf("diagnostic %+v", d)
	}
	if r := d.Range; r != nil && (r.Start.Byte < 0 || r.End.Byte < r.Start.Byte || r.End.Byte > size+8 || r.Start.Line < 1) {
		t.Errorf("range %+v of %q in a file of %d bytes", r, d.Summary, size)
	}
	if s := d.Snippet; s != nil && (s.HighlightStartOffset < 0 || s.HighlightEndOffset < s.HighlightStartOffset || s.HighlightEndOffset > len(s.Code)) {
		t.Errorf("excerpt %+v of %q", s, d.Summary)
	}
}

// FuzzFormat formats any bytes. What comes out formats to itself and has the same
// words and signs.
func FuzzFormat(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		once, ds := Format(text, "main.netp.hcl")
		if once == nil && !ds.HasErrors() {
			t.Fatalf("neither text nor error for %q", text)
		}
		for _, d := range ds {
			if d.Summary == sumInternal {
				t.Errorf("%s", d.Detail)
			}
		}
		if ds.HasErrors() {
			return
		}
		twice, ds := Format(once, "main.netp.hcl")
		if ds.HasErrors() || !bytes.Equal(once, twice) {
			t.Errorf("formatting twice:\n%q\n%q\n%v", once, twice, ds)
		}
	})
}

func gateOf(text []byte, limits Limits) *gateFault {
	tokens, _ := hclsyntax.LexConfig(text, "x", hcl.InitialPos)
	return checkTokens(tokens, limits)
}

// TestGlanceAgreesWithLexer holds the quick look against the tokens: what it calls
// safe, the gate must let through.
func TestGlanceAgreesWithLexer(t *testing.T) {
	for name, text := range bombs() {
		look := glance([]byte(text), "x", DefaultLimits(), pieceLength)
		p := gateOf([]byte(text), DefaultLimits())
		if look.safe && p != nil {
			t.Errorf("%s: the glance lets through what the gate refuses: %s", name, p.detail)
		}
	}
}

// FuzzGlance looks for texts that the glance calls safe and the gate refuses.
func FuzzGlance(f *testing.F) {
	limits := Limits{Nesting: 4, Chain: 8, Unary: 2}.complete()
	f.Fuzz(func(t *testing.T, text []byte) {
		if look := glance(text, "x", limits, 1); look.safe {
			if p := gateOf(text, limits); p != nil {
				t.Errorf("the glance lets through %q, the gate says %s at %v", text, p.detail, p.rng)
			}
		}
	})
}

// comparePieces parses a text as a whole and in the smallest pieces; it reports whether the pieces gave anything.
func comparePieces(t *testing.T, text []byte) bool {
	t.Helper()
	look := glance(text, "x", DefaultLimits(), 1)
	if !look.safe {
		return false
	}
	got := parsePieces(&source{name: "x", bytes: text}, look.breaks)
	if got == nil {
		return false
	}
	want, diags := parseBody(text, "x", hcl.InitialPos)
	if len(diags) > 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("in pieces between %v it is not the same, whole it has %v:\n%s", look.breaks, diags, text)
	}
	return true
}

// FuzzPieces looks for texts that are something else when parsed in pieces.
func FuzzPieces(f *testing.F) {
	f.Add([]byte("a = 1\nb \"c\" {\n  d = [\n    e.f,\n  ]\n}\n\n# g\nh {}\n"))
	f.Add([]byte("a = 1\na = 2\n"))
	f.Add([]byte("a {\n}\nb\n{\n}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if text, fault := toUTF8("x", text); fault == nil {
			comparePieces(t, text)
		}
	})
}

// TestPieces parses every suite of the repository in pieces.
func TestPieces(t *testing.T) {
	compared := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".hcl" {
			return err
		}
		text, err := os.ReadFile(path)
		if err == nil && comparePieces(t, text) {
			compared++
		}
		return err
	})
	if err != nil || compared < 20 {
		t.Errorf("%d files were compared, error %v", compared, err)
	}
}
