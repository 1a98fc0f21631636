package ancillary

import (
	"iter"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Message is one control message: what it is about (a level such as SOL_SOCKET, and a type within it), and its content.
type Message struct {
	Level, Type int32
	Data        []byte // of the kernel's bytes, no copy
}

// Is says whether the message is of a level and a type, and has so many bytes at least.
func (m Message) Is(level, kind int32, size uintptr) bool {
	return m.Level == level && m.Type == kind && uintptr(len(m.Data)) >= size
}

// All goes through the messages in the bytes that the kernel filled. It ends at what is no message. Nothing is allocated.
func All(control []byte) iter.Seq[Message] {
	return func(yield func(Message) bool) {
		for len(control) >= unix.SizeofCmsghdr {
			h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
			size := int(h.Len)
			if size < unix.CmsgLen(0) || size > len(control) || !yield(Message{h.Level, h.Type, control[unix.CmsgLen(0):size]}) {
				return
			}
			control = control[min(unix.CmsgSpace(size-unix.CmsgLen(0)), len(control)):]
		}
	}
}
