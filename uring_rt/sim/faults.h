/* SPDX-License-Identifier: MIT */
/* The faults that a simulation can inject; `urt sim` checks their names. */
#ifndef URT_SIM_FAULTS_H
#define URT_SIM_FAULTS_H

/* X(symbol, name, what happens): faults, by probability or by number. */
#define SIM_FAULTS(X)                                                         \
	X(NET, "net", "a connection is refused or reset, or a datagram lost") \
	X(PART, "partition", "a port of the network is cut off for a while")  \
	X(SHORT, "short",                                                     \
	  "a stream or pipe gives or takes less than it could")               \
	X(ENTER, "enter", "io_uring_enter: EAGAIN, or half of the requests")  \
	X(BLOCK, "block", "io_uring_enter holds its thread for a while")      \
	X(FILE, "file", "a read, write or sync of a file: EIO")               \
	X(THREAD, "thread", "pthread_create: EAGAIN")

#endif
