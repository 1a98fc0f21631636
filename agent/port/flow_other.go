//go:build !linux

package port

import "errors"

// Raw gives ok = false: there is no descriptor for blocking system calls here. Use Read and Write.
func (f *Flow) Raw() (fd int, ok bool) { return -1, false }

// Detach gives ok = false, as Raw does.
func (c *Conn) Detach() (fd int, ok bool) { return -1, false }

func (c *Conn) linger(int) error { return errors.ErrUnsupported }
