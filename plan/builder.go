package plan

import "github.com/netpupper/netp/lang/diag"

// builder carries one Build through its steps; each step reads what earlier
// steps left and adds to diags.
type builder struct {
	in    Input
	diags diag.List
}

func newBuilder(in Input) *builder { return &builder{in: in} }

func (b *builder) build() (*Plan, diag.List) {
	return &Plan{Created: b.in.Now, NetpVersion: b.in.NetpVersion}, b.diags
}
