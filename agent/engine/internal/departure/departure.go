// Package departure asks the kernel when the packets of a socket left: the stamps (SO_TIMESTAMPING) that it takes when it hands a
// packet to the device, and puts into the error queue of the socket. Whoever waits on the socket is woken by each of them, between
// the stamp and the wire: while packets leave, nobody should.
package departure

// None is the id of a packet whose departure is of no interest.
const None = ^uint64(0)
