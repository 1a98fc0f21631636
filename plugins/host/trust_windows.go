package host

import "io/fs"

// trusted has nothing to read from a mode here: access lists decide.
func trusted(fs.FileInfo) error { return nil }
