package plan

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// Digest identifies what the plan does: it is what Hash must be.
func (p *Plan) Digest() string {
	bare := *p
	bare.Hash, bare.Created, bare.Home, bare.Warnings = "", time.Time{}, "", nil
	sum := sha256.New()
	if err := json.NewEncoder(sum).Encode(bare); err != nil {
		panic("plan: cannot be written as JSON: " + err.Error()) // every field is plain data
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func bySlot(a, b Session) int {
	return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Addr, b.Addr))
}
