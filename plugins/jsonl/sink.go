package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plugins/sdk"
)

// sink appends records to a file. When Write returns, they are on the disk.
type sink struct {
	config struct {
		Path        string  `json:"path"`
		RotateBytes float64 `json:"rotate_bytes"`
		Keep        float64 `json:"keep"`
	}
	dir  string // of the file
	name string // within dir
	file *file  // nil until the first Write, and after a failed one
}

func newSink() sdk.Sink { return new(sink) }

func (*sink) Schema() sdk.Schema {
	return sdk.Schema{
		{Name: "path", Type: sdk.String, Required: true, Doc: "File to append to; relative to the suite's directory, or on a controller to its sink directory."},
		{Name: "rotate_bytes", Type: sdk.Number, Default: 0.0, Doc: "Size from which the file is renamed to PATH.1 (and PATH.1 to PATH.2, …) and a new one begun; 0 for never [B]."},
		{Name: "keep", Type: sdk.Number, Default: 5.0, Doc: "How many renamed files are kept."},
	}
}

func (s *sink) Configure(_ context.Context, c sdk.Config) error {
	if err := c.Decode(&s.config); err != nil {
		return err
	}
	path := filepath.FromSlash(s.config.Path)
	switch {
	case path == "" || filepath.Base(path) == "." || filepath.Base(path) == "..":
		return sdk.Invalid("path", "%q is no name for a file.", s.config.Path)
	case filepath.IsAbs(path) && c.Confined:
		return sdk.Invalid("path", "On a controller files are written below its sink directory only: give a relative path.")
	case filepath.IsAbs(path):
		s.dir, s.name = filepath.Dir(path), filepath.Base(path)
	case !filepath.IsLocal(path):
		return sdk.Invalid("path", "%q leaves the directory it is relative to. Give an absolute path, or one below it.", s.config.Path)
	default:
		s.dir, s.name = c.Directory, filepath.Clean(path)
	}
	if s.dir == "" {
		s.dir = "."
	}
	if r := s.config.RotateBytes; r != 0 && r < 1024 {
		return sdk.Invalid("rotate_bytes", "A file of %g bytes holds no record. Use at least 1024, or 0 for never.", r)
	}
	if k := s.config.Keep; k < 1 || k > 1000 || k != float64(int(k)) {
		return sdk.Invalid("keep", "It is a whole number from 1 to 1000.")
	}
	return nil
}

// Write appends the records that are not among the file's last ones, and syncs it.
func (s *sink) Write(ctx context.Context, records []netp.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.file != nil && s.file.moved() {
		_ = s.file.close()
		s.file = nil
	}
	if s.file == nil {
		f, err := open(s.dir, s.name)
		if err != nil {
			return err
		}
		s.file = f
	}
	if err := s.append(records); err != nil {
		_ = s.file.close() // what it holds is looked at anew by the next Write
		s.file = nil
		return fmt.Errorf("write %s: %w", s.name, err)
	}
	return nil
}

func (s *sink) append(records []netp.Record) error {
	var batch bytes.Buffer
	var ids []string
	for _, r := range records {
		if s.file.recent.has(r.ID) {
			continue
		}
		line, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("record %s: %w", r.ID, err)
		}
		batch.Write(append(line, '\n'))
		ids = append(ids, r.ID)
	}
	if limit := int64(s.config.RotateBytes); limit > 0 && s.file.size > 0 && s.file.size+int64(batch.Len()) > limit && len(ids) > 0 {
		if err := s.file.rotate(int(s.config.Keep)); err != nil {
			return err
		}
	}
	return s.file.append(batch.Bytes(), ids)
}

func (s *sink) Close() error {
	if s.file == nil {
		return nil
	}
	defer func() { s.file = nil }()
	return s.file.close()
}
