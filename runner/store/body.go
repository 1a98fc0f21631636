package store

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/netpupper/netp/packed"
)

// pack writes a value as it is stored, with the checksum over it and the words
// that name it: a body under another's key fails, too.
func pack(value any, name ...string) (body []byte, sum string, err error) {
	if body, err = packed.Encode(value); err != nil {
		return nil, "", err
	}
	return body, checksum(body, name), nil
}

// unpack reads what pack wrote under the same name; *Damaged when it cannot be that.
func (s *Store) unpack(body []byte, sum string, value any, what string, name ...string) error {
	damaged := &Damaged{Where: s.where, What: fmt.Sprintf("the %s %v", what, name)}
	if checksum(body, name) != sum {
		return damaged
	}
	plain, err := packed.JSON(body, 0)
	if err != nil {
		return damaged
	}
	if err := json.Unmarshal(plain, value); err != nil {
		return fmt.Errorf("read the %s %v in %s: %w", what, name, s.where, err)
	}
	return nil
}

func checksum(body []byte, name []string) string {
	h := sha256.New()
	for _, word := range name {
		fmt.Fprintf(h, "%d:%s", len(word), word)
	}
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}
