// Package packed is JSON in gzip: what results are on their way, and what the store
// keeps.
package packed

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"sync"
)

// Those in use before: a new writer takes a megabyte, and most of the time of a result.
var (
	writers = sync.Pool{New: func() any {
		z, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
		if err != nil {
			panic("packed: " + err.Error()) // there is such a level
		}
		return z
	}}
	readers = sync.Pool{New: func() any { return new(gzip.Reader) }}
)

// Encode packs a value; equal JSON gives equal bytes. The error is that of json.Marshal.
func Encode(value any) ([]byte, error) {
	plain, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	z := writers.Get().(*gzip.Writer)
	defer writers.Put(z)
	z.Reset(&b)
	z.Write(plain) // a bytes.Buffer takes everything
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// ErrTooLarge is returned for what is larger than its reader takes.
var ErrTooLarge = errors.New("too large")

// JSON gives what was packed, of at most so many bytes; 0 for any number. It is an
// error when data is not what Encode gives.
func JSON(data []byte, most int) ([]byte, error) {
	z := readers.Get().(*gzip.Reader)
	defer readers.Put(z)
	if err := z.Reset(bytes.NewReader(data)); err != nil {
		return nil, err
	}
	if most == 0 {
		return io.ReadAll(z)
	}
	plain, err := io.ReadAll(io.LimitReader(z, int64(most)+1))
	if err == nil && len(plain) > most {
		err = ErrTooLarge
	}
	if err != nil {
		return nil, err
	}
	return plain, nil
}
