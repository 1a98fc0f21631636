package lang

import (
	"testing"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// TestWritten has the texts of numbers: those that cty makes.
func TestWritten(t *testing.T) {
	m := newMeter(Limits{})
	for range 2 { // the second time some are remembered
		for _, text := range []string{"0", "-0", "1", "-1", "10000", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "0.1", "-2.5",
			"1e30", "1e-30", "3.14159265358979323846264338327950288", "123456789.000000001"} {
			v := cty.MustParseNumberVal(text)
			want, err := convert.Convert(v, cty.String)
			if err != nil {
				t.Fatal(err)
			}
			if got := m.written(v); !got.RawEquals(want) {
				t.Errorf("%s: got %#v, want %#v", text, got, want)
			}
			if got, ok := toText(v); !ok || got != want.AsString() {
				t.Errorf("%s: as a tag %q, %v; want %q", text, got, ok, want.AsString())
			}
			if got := m.written(v.Mark("secret")); !got.RawEquals(want.Mark("secret")) {
				t.Errorf("%s, marked: got %#v", text, got)
			}
		}
	}
	for _, v := range []cty.Value{cty.UnknownVal(cty.Number), cty.NullVal(cty.Number), cty.StringVal("7"), cty.True, cty.DynamicVal} {
		if got := m.written(v); !got.RawEquals(v) {
			t.Errorf("%#v became %#v", v, got)
		}
	}
}
