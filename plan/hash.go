package plan

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"slices"
	"sync"
	"time"
)

// Digest identifies what the plan does: it is what Hash must be.
func (p *Plan) Digest() string {
	bare := *p
	bare.Hash, bare.Created, bare.Warnings = "", time.Time{}, nil
	sum := sha256.New()
	bare.write(sum)
	return hex.EncodeToString(sum.Sum(nil))
}

// sessionsAtATime are made JSON in one piece.
const sessionsAtATime = 256

// noSessions is what stands in a plan where its sessions would be, and nowhere else: quotes in texts are escaped.
var noSessions = []byte(`"sessions":[],"changes":`)

// write writes the plan as JSON to what does not fail, the sessions side by side with the rest.
func (p Plan) write(w io.Writer) {
	if len(p.Sessions) == 0 {
		w.Write(append(encoded(p), '\n'))
		return
	}
	pieces := slices.Collect(slices.Chunk(p.Sessions, sessionsAtATime))
	texts := make([][]byte, len(pieces))
	var group sync.WaitGroup
	for i, piece := range pieces {
		group.Go(func() { texts[i] = encoded(piece) })
	}
	p.Sessions = []Session{}
	before, after, _ := bytes.Cut(encoded(p), noSessions)
	group.Wait()
	w.Write(before)
	w.Write([]byte(`"sessions":[`))
	for i, text := range texts {
		if i > 0 {
			w.Write([]byte(","))
		}
		w.Write(text[1 : len(text)-1]) // it is a list of its own
	}
	w.Write([]byte(`],"changes":`))
	w.Write(after)
	w.Write([]byte("\n"))
}

// encoded is a part of a plan as JSON.
func encoded(part any) []byte {
	text, err := json.Marshal(part)
	if err != nil {
		panic("plan: cannot be written as JSON: " + err.Error()) // every field is plain data
	}
	return text
}

func bySlot(a, b Session) int {
	return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Addr, b.Addr))
}
