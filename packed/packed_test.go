package packed

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// A record that is stored again must be the same to the byte, whatever was packed
// between with what its writer left.
func TestEqualValuesArePackedAlike(t *testing.T) {
	value := map[string]any{"metrics": strings.Repeat("[289,3],[290,4],", 5000), "run": "r"}
	first, err := Encode(value)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var fresh bytes.Buffer
	z, _ := gzip.NewWriterLevel(&fresh, gzip.BestSpeed)
	z.Write(plain)
	z.Close()
	for i := range 200 {
		if _, err := Encode(strings.Repeat("other ", 37*i)); err != nil {
			t.Fatal(err)
		}
		again, err := Encode(value)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again, first) || !bytes.Equal(again, fresh.Bytes()) {
			t.Fatalf("after %d others: %d bytes that differ from the first %d, or from the %d of a new writer", i, len(again), len(first), fresh.Len())
		}
		if got, err := JSON(again, len(plain)); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("read back: %v", err)
		}
	}
}

func TestWhatIsNotPacked(t *testing.T) {
	good, err := Encode("abc")
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range [][]byte{nil, []byte("no gzip"), good[:len(good)-1], append(bytes.Clone(good), 'x')} {
		if plain, err := JSON(data, 0); err == nil {
			t.Errorf("%q gave %q", data, plain)
		}
		if plain, err := JSON(good, 0); err != nil || string(plain) != `"abc"` {
			t.Errorf("after %q: %q, %v", data, plain, err)
		}
	}
	if _, err := JSON(good, 4); !errors.Is(err, ErrTooLarge) {
		t.Errorf("5 bytes where 4 are taken: %v", err)
	}
	if _, err := Encode(func() {}); err == nil {
		t.Error("a function was packed")
	}
}
