// Package overflow tells the packets that a UDP socket dropped because nobody read them in time from those that it dropped because they
// came damaged. The first are the host's fault, the others the network's, and the kernel counts both in the socket's one number (of
// SO_RXQ_OVFL). What tells them apart are the counters of the network namespace: RcvbufErrors and MemErrors in /proc/net/snmp and snmp6.
//
// Start with Before.
package overflow

// Mark is how many packets a network namespace had dropped for want of room. The zero value says that this is not known.
type Mark struct {
	count uint64
	known bool
}

// late is the part of the dropped packets that came too many, when the namespace has dropped count in all by now.
func (m Mark) late(dropped, count uint64) uint64 {
	if count < m.count {
		return dropped // the counter has begun anew
	}
	return min(dropped, count-m.count)
}
