// Package ancillary walks through the control messages that recvmsg gives beside a packet: what the kernel says of it.
package ancillary
