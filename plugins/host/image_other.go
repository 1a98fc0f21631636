//go:build !linux

package host

import "io"

func newImage(from io.ReadSeeker, runDir string) (*image, error) { return privateCopy(from, runDir) }
