package host

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
)

// maxProgram bounds the size of a plugin's program [B].
const maxProgram = 512 << 20

// image is a plugin's program, copied once to where nobody can change it: the bytes
// that were hashed are the bytes that run.
type image struct {
	hash string   // "sha256:…"
	run  string   // the directory for sockets
	path string   // to execute
	file *os.File // sealed memory; nil for a private copy
	// inherit says that the program is a script: its interpreter opens path again.
	inherit bool
	remove  string // the private directory; "" for none
}

// readImage copies a program and hashes what it copied.
func readImage(path, runDir string) (*image, error) {
	from, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read plugin: %w", err)
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		return nil, fmt.Errorf("read plugin: %w", err)
	}
	if err := trusted(info); err != nil {
		return nil, fmt.Errorf("%s %w", path, err)
	}
	if info.Size() > maxProgram {
		return nil, fmt.Errorf("%s has %d bytes, more than %d", path, info.Size(), maxProgram)
	}
	i, err := newImage(from, runDir)
	if err != nil {
		return nil, fmt.Errorf("copy plugin %s: %w", path, err)
	}
	i.run = runDir
	return i, nil
}

// copyHashed copies everything and gives the hash and the first two bytes.
func copyHashed(to io.Writer, from io.Reader) (hash string, start string, err error) {
	sum := sha256.New()
	head := &prefix{}
	n, err := io.Copy(io.MultiWriter(to, sum, head), io.LimitReader(from, maxProgram+1))
	if err == nil && n > maxProgram {
		err = fmt.Errorf("more than %d bytes", maxProgram)
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil)), string(head.bytes), err
}

// prefix keeps the first two bytes written to it.
type prefix struct{ bytes []byte }

func (p *prefix) Write(b []byte) (int, error) {
	if missing := 2 - len(p.bytes); missing > 0 {
		p.bytes = append(p.bytes, b[:min(missing, len(b))]...)
	}
	return len(b), nil
}

// privateCopy is the image where there is no sealed memory: a copy that only this user
// can reach.
func privateCopy(from io.Reader, runDir string) (*image, error) {
	dir, err := os.MkdirTemp(runDir, "netp-sink-") // mode 0700
	if err != nil {
		return nil, err
	}
	path := dir + string(os.PathSeparator) + fileName("copy")
	i := &image{path: path, remove: dir}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o500)
	if err == nil {
		if i.hash, _, err = copyHashed(file, from); err == nil {
			err = file.Close()
		}
	}
	if err != nil {
		_ = i.close()
		return nil, err
	}
	return i, nil
}

func (i *image) close() error {
	if i.remove != "" {
		return os.RemoveAll(i.remove)
	}
	return i.file.Close()
}
