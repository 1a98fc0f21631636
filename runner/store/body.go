package store

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
)

// pack writes a value as it is stored, with the checksum over it and the words
// that name it: a body under another's key fails, too.
func pack(value any, name ...string) (body []byte, sum string, err error) {
	plain, err := json.Marshal(value)
	if err != nil {
		return nil, "", err
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		return nil, "", err
	}
	z.Write(plain) // a bytes.Buffer takes everything
	if err := z.Close(); err != nil {
		return nil, "", err
	}
	return b.Bytes(), checksum(b.Bytes(), name), nil
}

// unpack reads what pack wrote under the same name; *Damaged when it cannot be that.
func (s *Store) unpack(body []byte, sum string, value any, what string, name ...string) error {
	damaged := &Damaged{Where: s.where, What: fmt.Sprintf("the %s %v", what, name)}
	if checksum(body, name) != sum {
		return damaged
	}
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return damaged
	}
	plain, err := io.ReadAll(z)
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
