package plan

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/quantity"
)

// attributes are what a test is made of, flattened to text: one entry per
// parameter, path, assertion part, tag and piece of schedule.
func (t *draft) attributes() map[string]string {
	out := map[string]string{"kind": string(t.spec.Kind), "profile": t.Profile.Addr}
	for _, s := range t.spec.Params {
		if t.Profile.Params.Has(s.Name) {
			out[s.Name] = Parameter(s, t.Profile.Params)
		}
	}
	if t.Every > 0 {
		out["every"] = compact(t.Every)
	}
	if t.Slip > 0 {
		out["slip"] = compact(t.Slip)
	}
	for name, text := range map[string]string{"cron": t.Cron, "time_zone": t.TimeZone} {
		if text != "" {
			out[name] = text
		}
	}
	for k, v := range t.Tags {
		out["tags."+k] = v
	}
	for _, s := range t.all {
		out[s.Path.Addr] = route(s.Path)
	}
	for _, a := range t.Asserts {
		name := "assert." + a.Name
		out[name] = a.Condition
		out[name+".confidence"] = quantity.Exact(a.Confidence, "1")
		out[name+".severity"] = string(cmp.Or(a.Severity, netp.SeverityError))
		if a.Message != "" {
			out[name+".message"] = a.Message
		}
		for root, text := range constants(a.Constants) {
			out[name+"."+root] = text
		}
	}
	return out
}

// route says which way a path goes.
func route(p netp.Path) string {
	text := "default"
	if p.Via != "" {
		text = "via " + p.Via
	}
	for _, l := range p.Links {
		text += ", " + l
	}
	return text
}

// constants gives the values behind an assertion as text: var.max_loss is "0.1".
// They are kept with their types, as {"value": ..., "type": ...} by root.
func constants(raw json.RawMessage) map[string]string {
	var roots map[string]struct{ Value any }
	if len(raw) == 0 || json.Unmarshal(raw, &roots) != nil {
		return nil
	}
	out := map[string]string{}
	for root, typed := range roots {
		flatten(out, root, typed.Value)
	}
	return out
}

// flatten writes objects as one entry per attribute.
func flatten(out map[string]string, name string, v any) {
	object, ok := v.(map[string]any)
	if !ok {
		text, err := json.Marshal(v)
		if err == nil {
			out[name] = string(text)
		}
		return
	}
	for key, member := range object {
		flatten(out, name+"."+key, member)
	}
}

// changes compares the tests with the applied state. A partial plan says nothing
// of what it leaves out, and destroys nothing.
func (b *builder) changes() []Change {
	out := []Change{}
	there := map[string]bool{}
	for _, t := range b.tests {
		there[t.Addr] = true
		if len(t.selected) == 0 {
			continue
		}
		c := Change{
			Addr: t.Addr, Sessions: len(t.selected), Action: Create,
			Summary: summary(t.spec, t.Profile.Params), Schedule: t.repetition(),
		}
		if applied, ok := b.in.State.Tests[t.Addr]; ok {
			c.Attributes = difference(applied, t.attributes())
			c.Action = Unchanged
			if len(c.Attributes) > 0 {
				c.Action = Update
			}
		}
		out = append(out, c)
	}
	if len(b.in.Targets) == 0 && len(b.in.Excludes) == 0 {
		for addr := range b.in.State.Tests {
			if !there[addr] {
				out = append(out, Change{Addr: addr, Action: Destroy})
			}
		}
	}
	slices.SortFunc(out, func(x, y Change) int { return cmp.Compare(x.Addr, y.Addr) })
	return out
}

// difference lists the attributes that differ, by name; one that is missing has
// the text "".
func difference(before, after map[string]string) []AttributeChange {
	names := maps.Clone(before)
	if names == nil {
		names = map[string]string{}
	}
	maps.Copy(names, after)
	var out []AttributeChange
	for _, name := range sorted(names) {
		if before[name] != after[name] {
			out = append(out, AttributeChange{Name: name, Before: before[name], After: after[name]})
		}
	}
	return out
}

// Apply gives the state after a plan was applied. The lineage is used when the
// state has none yet: a name that is unique to this history, made by the caller.
// Tests of which the plan has only some sessions stay as they were.
func Apply(before State, p *Plan, lineage string) State {
	after := State{
		Lineage: cmp.Or(before.Lineage, lineage), Serial: before.Serial + 1,
		Plan: p.Hash, Tests: maps.Clone(before.Tests),
	}
	if after.Tests == nil {
		after.Tests = map[string]map[string]string{}
	}
	for _, c := range p.Changes {
		if c.Action == Destroy {
			delete(after.Tests, c.Addr)
		}
	}
	for _, t := range p.Tests {
		if !t.Partial {
			after.Tests[t.Addr] = t.Attributes
		}
	}
	return after
}
