package store

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// dialect is what differs between databases. Statements are written with ? for
// arguments, TEXT ordered by bytes, BLOB for bytes and BIGINT for numbers; ON
// CONFLICT works on all.
type dialect struct {
	// numbered says that arguments are $1, $2, ... instead of ?.
	numbered bool
	// types writes the types of the schema as the database names them; nil changes
	// nothing.
	types *strings.Replacer
	// begin is the statement that lets writing transactions follow one another; ""
	// where they do so by themselves.
	begin string
	// migrate is said before the schema is changed, if it is not "".
	migrate string
	// attempt bounds one try at a transaction or query; 0 for no bound.
	attempt time.Duration
	// answers asks, beside what waits for the database, whether its server is there, until ctx
	// is done or it is clear; nil where there is none to ask.
	answers func(ctx context.Context) bool
	// lost says of an error that the same thing, tried again, may succeed.
	lost func(error) bool
	// away says in words what such an error means.
	away string
	// full says of an error that the disk is full.
	full func(error) bool
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
func (d dialect) schema(text string) string {
	if d.types == nil {
		return text
	}
	return d.types.Replace(text)
}
