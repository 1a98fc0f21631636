package overflow

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netpupper/netp/agent/port"
)

// namespaceOf is SIOCGSKNS of linux/sockios.h: it opens the network namespace of a socket.
const namespaceOf = 0x894c

// fresh is how old a mark may be: many sessions that begin together read the counters once.
const fresh = time.Second

// marks are those of the last second, by namespace.
var marks = struct {
	sync.Mutex
	of map[namespace]taken
}{of: map[namespace]taken{}}

// namespace is the file that stands for one.
type namespace struct{ device, inode uint64 }

type taken struct {
	Mark
	at time.Time
}

// Before gives the mark of the namespace of a UDP socket that has just been opened.
func Before(fd int) Mark {
	if protocol, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL); err != nil || protocol != unix.IPPROTO_UDP {
		return Mark{} // sockets of ICMP drop for want of room only
	}
	marks.Lock()
	defer marks.Unlock()
	id, leave, err := enter(fd)
	if err != nil {
		return Mark{}
	}
	defer leave.Close()
	now := time.Now()
	if m, ok := marks.of[id]; ok && now.Sub(m.at) < fresh {
		return m.Mark
	}
	for other, m := range marks.of {
		if now.Sub(m.at) >= fresh {
			delete(marks.of, other)
		}
	}
	count, err := counted(leave)
	m := taken{Mark{count, err == nil}, now}
	marks.of[id] = m
	return m.Mark
}

// Late says how many of the packets that a socket has dropped since the mark it dropped because nobody read them in time: at most,
// and all where that is not known.
func (m Mark) Late(fd int, dropped uint64) uint64 {
	if dropped == 0 || !m.known {
		return dropped
	}
	_, at, err := enter(fd)
	if err != nil {
		return dropped
	}
	defer at.Close()
	count, err := counted(at)
	if err != nil {
		return dropped
	}
	return m.late(dropped, count)
}

// enter gives the namespace of a socket, and a file of it. Who may not ask has no other namespace than its own.
func enter(fd int) (id namespace, at *os.File, err error) {
	if opened, err := unix.IoctlRetInt(fd, namespaceOf); err == nil {
		at = os.NewFile(uintptr(opened), "network namespace")
	} else if at, err = os.Open("/proc/thread-self/ns/net"); err != nil {
		return id, nil, err
	}
	var facts unix.Stat_t
	if err := unix.Fstat(int(at.Fd()), &facts); err != nil {
		return id, nil, errors.Join(err, at.Close())
	}
	return namespace{facts.Dev, facts.Ino}, at, nil
}

// counted reads the counters of a namespace.
func counted(at *os.File) (count uint64, err error) {
	own, err := os.Stat("/proc/thread-self/ns/net")
	if err != nil {
		return 0, err
	}
	if there, err := at.Stat(); err == nil && os.SameFile(own, there) {
		return read()
	}
	err = port.Dialer{Where: port.Where{Netns: fmt.Sprintf("/proc/self/fd/%d", at.Fd())}}.Open(func() (err error) {
		count, err = read()
		return err
	})
	return count, err
}

// read reads the counters of the thread's namespace.
func read() (uint64, error) {
	four, err := os.Open("/proc/thread-self/net/snmp")
	if err != nil {
		return 0, err
	}
	defer four.Close()
	count, err := ofIPv4(four)
	if err != nil {
		return 0, err
	}
	six, err := os.Open("/proc/thread-self/net/snmp6")
	if errors.Is(err, os.ErrNotExist) {
		return count, nil // a kernel without IPv6
	} else if err != nil {
		return 0, err
	}
	defer six.Close()
	more, err := ofIPv6(six)
	return count + more, err
}

// ofIPv4 reads a table: a line of names and one of numbers, both behind "Udp:".
func ofIPv4(table io.Reader) (count uint64, err error) {
	var names []string
	for lines := bufio.NewScanner(table); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || fields[0] != "Udp:" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		for i, name := range names[:min(len(names), len(fields))] {
			if slices.Contains([]string{"RcvbufErrors", "MemErrors"}, name) {
				n, err := strconv.ParseUint(fields[i], 10, 64)
				if err != nil {
					return 0, err
				}
				count += n
			}
		}
		if !slices.Contains(names, "RcvbufErrors") {
			break
		}
		return count, nil
	}
	return 0, errors.New("the system does not count what its UDP sockets had no room for")
}

// ofIPv6 reads a list: a name and a number a line.
func ofIPv6(list io.Reader) (count uint64, err error) {
	lines := bufio.NewScanner(list)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 2 && slices.Contains([]string{"Udp6RcvbufErrors", "Udp6MemErrors"}, fields[0]) {
			n, err := strconv.ParseUint(fields[1], 10, 64)
			if err != nil {
				return 0, err
			}
			count += n
		}
	}
	return count, lines.Err()
}
