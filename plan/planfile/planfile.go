// Package planfile keeps a plan in a file between planning and applying. It
// writes all or nothing, knows damage when it sees it, and says whether a plan
// still fits the applied state; it applies nothing. Start with Write and Read.
//
// The file is one line of text with five fields, then the plan as gzip'd JSON:
//
//	netp-plan 1 0.3.0 18231 5f2c…\n
//	│         │ │     │     └ SHA-256 of the gzip'd part (hex)
//	│         │ │     └ its length in bytes
//	│         │ └ netp version that wrote it ("-" for none)
//	│         └ format version
//	└ magic
//
// Format 1, 2026-11: the first. A file is read by the same format only.
package planfile

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/netpupper/netp/durable"
	"github.com/netpupper/netp/plan"
)

// Format is the version of the file format.
const Format = 1

const (
	magic = "netp-plan"
	// maxHeader and maxPlan bound what a file can make the reader hold: the plan is
	// bounded after unpacking. A plan of 100 000 sessions takes about 100 MB.
	maxHeader = 1024
	maxPlan   = 1 << 30
)

// Errors that say what is wrong with a file. The text of what Read returns says
// how to mend it.
var (
	ErrNotPlan   = errors.New("not a netp plan")
	ErrTruncated = errors.New("the plan file ends too early")
	ErrDamaged   = errors.New("the plan file is damaged")
	ErrVersion   = errors.New("the plan file is of another version")
)

// Errors of Check.
var (
	// ErrStale says that something else was applied since the plan was made.
	ErrStale = errors.New("the plan is stale")
	// ErrApplied says that this very plan was applied last.
	ErrApplied = errors.New("the plan has been applied already")
)

// Write saves a plan. The file is there completely or not at all, and readable
// for its owner only.
func Write(path string, p *plan.Plan) error {
	body, err := pack(p)
	if err != nil {
		return fmt.Errorf("write plan %s: %w", path, err)
	}
	version := strings.Join(strings.Fields(p.NetpVersion), "_")
	if version == "" {
		version = "-"
	}
	sum := sha256.Sum256(body)
	header := fmt.Sprintf("%s %d %s %d %s\n", magic, Format, version, len(body), hex.EncodeToString(sum[:]))
	return durable.Replace(path, slices.Concat([]byte(header), body), 0o600)
}

func pack(p *plan.Plan) ([]byte, error) {
	var body bytes.Buffer
	z := gzip.NewWriter(&body) // without a time stamp: the same plan gives the same bytes
	if err := json.NewEncoder(z).Encode(p); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return body.Bytes(), nil
}

// Read loads a saved plan. Its errors wrap ErrNotPlan, ErrTruncated, ErrDamaged
// or ErrVersion where the file is at fault.
func Read(path string) (*plan.Plan, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read plan: %w", err)
	}
	defer f.Close() // only read from
	p, err := read(f)
	if err != nil {
		return nil, fmt.Errorf("read plan %s: %w", path, err)
	}
	return p, nil
}

func read(r io.Reader) (*plan.Plan, error) {
	h, rest, err := readHeader(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(io.MultiReader(bytes.NewReader(rest), r), h.length+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(body)) < h.length:
		return nil, fmt.Errorf("%w: %d of %d bytes are there. Copy it again, or make a new plan", ErrTruncated, len(body), h.length)
	case int64(len(body)) > h.length:
		return nil, fmt.Errorf("%w: something follows its end. Make a new plan", ErrDamaged)
	}
	if sum := sha256.Sum256(body); hex.EncodeToString(sum[:]) != h.sum {
		return nil, fmt.Errorf("%w: its content does not match its checksum. Make a new plan", ErrDamaged)
	}
	return unpack(body)
}

type header struct {
	length int64
	sum    string
}

// readHeader reads the first line; rest is what was read beyond it.
func readHeader(r io.Reader) (h header, rest []byte, err error) {
	start := make([]byte, maxHeader)
	n, err := io.ReadFull(r, start)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return h, nil, err
	}
	line, rest, whole := bytes.Cut(start[:n], []byte("\n"))
	fields := strings.Fields(string(line))
	if len(fields) == 0 || fields[0] != magic {
		return h, nil, fmt.Errorf("%w: save one with netp plan -out=FILE. To apply a suite, name its directory", ErrNotPlan)
	}
	if len(fields) >= 3 && fields[1] != strconv.Itoa(Format) {
		return h, nil, fmt.Errorf("%w: format %s, written by netp %s; this netp reads format %d. Make a new plan, or apply it with that version",
			ErrVersion, fields[1], fields[2], Format)
	}
	if !whole {
		return h, nil, fmt.Errorf("%w: its first line is not complete. Copy it again, or make a new plan", ErrTruncated)
	}
	if len(fields) != 5 {
		return h, nil, fmt.Errorf("%w: its first line has %d fields, not 5. Make a new plan", ErrDamaged, len(fields))
	}
	length, err := strconv.ParseInt(fields[3], 10, 64)
	if err != nil || length < 0 || length > maxPlan {
		return h, nil, fmt.Errorf("%w: its length %q makes no sense. Make a new plan", ErrDamaged, fields[3])
	}
	return header{length, fields[4]}, rest, nil
}

func unpack(body []byte) (*plan.Plan, error) {
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	text, err := io.ReadAll(io.LimitReader(z, maxPlan+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if len(text) > maxPlan {
		return nil, fmt.Errorf("%w: it unpacks to more than %d bytes", ErrDamaged, maxPlan)
	}
	p := new(plan.Plan)
	if err := json.Unmarshal(text, p); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return p, nil
}

// Check says whether the plan may be applied to the state: nil, or an error that
// wraps ErrApplied or ErrStale. The state must be the one the plan was made
// against: same lineage, same serial.
func Check(p *plan.Plan, state plan.State) error {
	if p.Hash != "" && state.Plan == p.Hash {
		return fmt.Errorf("%w, as number %d of this suite. Make a new plan to run it again", ErrApplied, state.Serial)
	}
	if p.Lineage != state.Lineage && p.Lineage != "" {
		return fmt.Errorf("%w: it was made against another history of the suite. Make a new plan", ErrStale)
	}
	if p.Lineage != state.Lineage || p.Serial != state.Serial {
		return fmt.Errorf("%w: it was made after %d applied plans, now there are %d. Make a new plan", ErrStale, p.Serial, state.Serial)
	}
	return nil
}
