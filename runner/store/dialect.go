package store

import (
	"strconv"
	"strings"
)

// dialect is what differs between databases. Statements are written with ? for
// arguments, BLOB for bytes and BIGINT for numbers; ON CONFLICT works on all.
type dialect struct {
	// numbered says that arguments are $1, $2, ... instead of ?.
	numbered bool
	// bytes is the name of the type for bytes.
	bytes string
	// remedy says in words what an error of the driver means and what to do, ""
	// where that is not known.
	remedy func(error) string
}

// bind writes the arguments of a statement as the database wants them. No
// statement of ours has a ? in a text.
func (d dialect) bind(text string) string {
	if !d.numbered {
		return text
	}
	var b strings.Builder
	n := 0
	for _, c := range text {
		if c == '?' {
			n++
			b.WriteString("$" + strconv.Itoa(n))
			continue
		}
		b.WriteRune(c)
	}
	return b.String()
}

// schema writes a statement of the schema with the database's types.
func (d dialect) schema(text string) string { return strings.ReplaceAll(text, "BLOB", d.bytes) }
