package lang

import (
	"math/big"
	"strconv"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// maxFractions bounds the numbers whose texts are remembered.
const maxFractions = 1000

// written is the text of a number, as a template writes it; other values are given back. cty makes the same text by way of 512 bits
// in decimal, which takes longer than all else that a template does: whole numbers need not go that way, others once only.
func (m *meter) written(v cty.Value) cty.Value {
	bare, marks := v.Unmark()
	if bare == cty.NilVal || bare.Type() != cty.Number || !bare.IsKnown() || bare.IsNull() {
		return v
	}
	f := bare.AsBigFloat()
	if s, ok := whole(f); ok {
		return cty.StringVal(s).WithMarks(marks)
	}
	exact := string(f.Append(nil, 'p', 0))
	s, ok := m.fraction[exact]
	if !ok {
		text, err := convert.Convert(bare, cty.String)
		if err != nil {
			return v // the template says why
		}
		s = text.AsString()
		if m.fraction == nil {
			m.fraction = map[string]string{}
		}
		if len(m.fraction) < maxFractions {
			m.fraction[exact] = s
		}
	}
	return cty.StringVal(s).WithMarks(marks)
}

// whole is the text of a whole number that is not too large.
func whole(f *big.Float) (string, bool) {
	n, accuracy := f.Int64()
	if accuracy != big.Exact || n == 0 && f.Signbit() {
		return "", false
	}
	return strconv.FormatInt(n, 10), true
}
