package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/packed"
)

// MaxMessage bounds every message on the bus [B]; it is the bus's own limit, too.
const MaxMessage = 1 << 20

// maxPart bounds a part after decompression [B].
const maxPart = 16 << 20

// ErrTooLarge is returned for a message beyond MaxMessage, or a part beyond its
// size after decompression.
var ErrTooLarge = errors.New("message too large")

// Encode writes a message as JSON of at most MaxMessage bytes.
func Encode(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	if len(data) > MaxMessage {
		return nil, fmt.Errorf("encode %T: %d bytes: %w", v, len(data), ErrTooLarge)
	}
	return data, nil
}

// Decode reads a message. Unknown fields are ignored; a message that is too
// large, not UTF-8, or not one JSON value is an error.
func Decode(data []byte, v any) error {
	if len(data) > MaxMessage {
		return fmt.Errorf("decode %T: %d bytes: %w", v, len(data), ErrTooLarge)
	}
	return decode(data, v)
}

func decode(data []byte, v any) error {
	if !utf8.Valid(data) {
		return fmt.Errorf("decode %T: not valid UTF-8", v)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("decode %T: %w", v, err)
	}
	return nil
}

// EncodePart writes one part as compressed JSON that fits a message. When it
// does not fit, the time series goes first (the fact "intervals" says so); the
// metrics, from which the verdict is made, never do.
func EncodePart(r netp.Result) ([]byte, error) {
	data, err := compress(r)
	if err != nil || len(data) <= MaxMessage {
		return data, err
	}
	facts := map[string]string{"intervals": fmt.Sprintf("left out: the result was %d bytes, more than the bus takes", len(data))}
	maps.Copy(facts, r.Facts)
	r.Intervals, r.Facts = nil, facts
	if data, err = compress(r); err == nil && len(data) > MaxMessage {
		return nil, fmt.Errorf("encode part: %d bytes: %w", len(data), ErrTooLarge)
	}
	return data, err
}

func compress(r netp.Result) ([]byte, error) {
	data, err := packed.Encode(r)
	if err != nil {
		return nil, fmt.Errorf("encode part: %w", err)
	}
	return data, nil
}

// DecodePart reads what EncodePart wrote, and checks that what it says is
// possible at all: whoever estimates from it need not.
func DecodePart(data []byte) (netp.Result, error) {
	var r netp.Result
	if len(data) > MaxMessage {
		return r, fmt.Errorf("decode part: %d bytes: %w", len(data), ErrTooLarge)
	}
	plain, err := packed.JSON(data, maxPart)
	switch {
	case errors.Is(err, packed.ErrTooLarge):
		return r, fmt.Errorf("decode part: more than %d bytes: %w", maxPart, ErrTooLarge)
	case err != nil:
		return r, fmt.Errorf("decode part: %w", err)
	}
	if err := decode(plain, &r); err != nil {
		return r, err
	}
	return r, checkPart(r)
}

// maxIntervals and maxBatches are the bounds the words themselves promise.
const (
	maxIntervals = 1200 // both directions of 600 rows
	maxBatches   = 128
)

// maxRun and maxSession are the longest names of a run and of a session [B]: an index of the store takes no longer ones.
const (
	maxRun     = 64
	maxSession = 2000
)

func checkPart(r netp.Result) error {
	if len(r.Run) > maxRun || len(r.Session) > maxSession || strings.ContainsFunc(r.Run+r.Session, unicode.IsControl) {
		return errors.New("decode part: no controller gives such names: too long, or with control characters")
	}
	if r.Run == "" || r.Session == "" || r.Attempt < 1 || r.Part != netp.Initiator && r.Part != netp.Responder {
		return fmt.Errorf("decode part: no such part: run %q, session %q, attempt %d, part %q", r.Run, r.Session, r.Attempt, r.Part)
	}
	if len(r.Intervals) > maxIntervals {
		return fmt.Errorf("decode part: %d intervals, more than %d", len(r.Intervals), maxIntervals)
	}
	for name, m := range r.Metrics {
		if err := checkMeasurement(m); err != nil {
			return fmt.Errorf("decode part: metric %s: %w", name, err)
		}
	}
	return nil
}

func checkMeasurement(m netp.Measurement) error {
	set := 0
	if m.Value != nil {
		set++
	}
	if r := m.Ratio; r != nil {
		set++
		if r.Events > r.Trials {
			return fmt.Errorf("%d events of %d trials", r.Events, r.Trials)
		}
		if len(r.Batches) > maxBatches {
			return fmt.Errorf("%d batches, more than %d", len(r.Batches), maxBatches)
		}
	}
	if d := m.Distribution; d != nil {
		set++
		if err := checkDistribution(d); err != nil {
			return err
		}
	}
	if set != 1 {
		return fmt.Errorf("%d of ratio, distribution and value are set, not one", set)
	}
	if m.Uncertainty < 0 {
		return fmt.Errorf("uncertainty %g is negative", m.Uncertainty)
	}
	return nil
}

func checkDistribution(d *netp.Distribution) error {
	if d.All == nil || d.Resolution <= 0 || len(d.Batches) > maxBatches {
		return errors.New("a distribution needs a histogram, a positive resolution and at most 128 batches")
	}
	var n uint64
	for _, b := range d.Batches {
		if b == nil {
			return errors.New("a batch of the distribution is empty")
		}
		n += b.Count()
	}
	if n > d.All.Count() {
		return fmt.Errorf("the batches hold %d samples, the distribution %d", n, d.All.Count())
	}
	return nil
}
