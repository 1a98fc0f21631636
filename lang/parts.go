package lang

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/hcl/v2"
)

// Long for expressions and path blocks with many instances are evaluated in parts, side by side. A worker is a loader with a syntax
// tree, a meter and diagnostics of its own, which only reads what the others read, too. Where anything but values comes up (a fault,
// a warning, a secret, a bound, a declaration that is not decoded yet) all that the workers made is forgotten, and everything is
// evaluated in turn, as it is on one processor. So the outcome does not depend on how the work was divided.

// partLength is how many elements a worker takes at a time.
const partLength = 256

// inParts evaluates n elements side by side. Each worker prepares, which is not metered, and then evaluates one element after the
// other, until there are none or it says false. It is false when that failed or is not worth it; then nothing has happened.
func (l *loader) inParts(n int, prepare func(worker *loader) (evaluate func(i int) bool)) bool {
	workers := make([]*loader, min(runtime.GOMAXPROCS(0), n/partLength))
	if len(workers) < 2 || l.beside || l.document {
		return false
	}
	var begun atomic.Int64
	var failed atomic.Bool
	var group sync.WaitGroup
	for k := range workers {
		w := l.worker()
		workers[k] = w
		group.Go(func() {
			defer func() {
				if recover() != nil { // what panics in turn, too, is told then
					failed.Store(true)
				}
			}()
			evaluate := prepare(w)
			w.meter.steps, w.meter.text = l.meter.steps, l.meter.text
			for !failed.Load() {
				to := int(begun.Add(partLength))
				for i := to - partLength; i < min(to, n); i++ {
					if !evaluate(i) || len(w.list) > 0 || len(w.secrets) > 0 || w.meter.over {
						failed.Store(true)
						return
					}
				}
				if to >= n {
					return
				}
			}
		})
	}
	group.Wait()
	return !failed.Load() && l.meter.add(workers)
}

// worker is a loader for parts.
func (l *loader) worker() *loader {
	w, m := *l, *l.meter
	w.beside = true
	w.collector = newCollector(1)
	w.sources, w.broken = l.sources, l.broken
	w.meter = &m
	m.secrets, m.fraction = w.secrets, nil
	w.functions = pureFunctions(&m)
	return &w
}

// alone ends a worker that is about to change what others see.
func (l *loader) alone() {
	if l.beside {
		panic("not in a part")
	}
}

// add counts what workers used; false when that is too much, and then it is not counted.
func (m *meter) add(workers []*loader) bool {
	sum := *m
	for _, w := range workers {
		sum.steps += w.meter.steps - m.steps
		sum.text += w.meter.text - m.text
	}
	if sum.steps > m.limits.Steps || sum.text > maxTextPerExpression*m.limits.StringBytes {
		return false
	}
	*m = sum
	return true
}

// native is the text of a range in a file of the native syntax; nil for others, which do not parse as such.
func (l *loader) native(rng hcl.Range) []byte {
	src := l.sources[rng.Filename]
	if src == nil || src.texts != nil {
		return nil
	}
	return rng.SliceBytes(src.bytes)
}

// own parses a block once more, for a worker.
func (it *item) own(w *loader) *item {
	rng := it.block.Range()
	body, _ := parseBody(w.native(rng), rng.Filename, rng.Start)
	w.meter.instrumentBody(body)
	own, s := *it, *it.scope
	s.loader, s.base = w, &hcl.EvalContext{Variables: s.base.Variables, Functions: w.functions}
	own.scope, own.block = &s, body.Blocks[0]
	return &own
}

// decodeEach gives what is made of the instances of a block, side by side but for the first, which decodes what they refer to. To
// decode one changes nothing that others see.
func decodeEach[T any](it *item, decode func(*instance) T) (made []T, many, ok bool) {
	elements, many, ok := it.elements()
	if made = make([]T, len(elements)); len(made) == 0 {
		return made, many, ok
	}
	decoder := func(it *item) func(i int) T {
		shared := it.shared(many)
		return func(i int) T { return decode(it.instance(shared, elements[i])) }
	}
	inTurn := decoder(it)
	made[0] = inTurn(0)
	if !it.scope.loader.inParts(len(elements)-1, func(w *loader) func(i int) bool {
		own := decoder(it.own(w))
		own(0) // what is the same for all instances is evaluated, and was metered
		return func(i int) bool { made[i+1] = own(i + 1); return true }
	}) {
		for i := range made[1:] {
			made[i+1] = inTurn(i + 1)
		}
	}
	return made, many, ok
}
