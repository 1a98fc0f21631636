//go:build !linux

package port

// Raw gives ok = false: there is no descriptor for blocking system calls here. Use Read and Write.
func (f *Flow) Raw() (fd int, ok bool) { return -1, false }
