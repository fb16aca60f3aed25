/* SPDX-License-Identifier: MIT */
/*
 * Memory that other processes may map: the counters page and the trace rings.
 *
 * It is a memfd, so it lies in no directory: nothing is left behind by a program that
 * is killed, and no name can be taken by somebody else. It is sealed at its size: a
 * reader that has checked the size once can map it without the danger of SIGBUS.
 *
 * A tool finds it through /proc/PID/fd. A program may end before anybody looks
 * there, so a tool that starts programs names a socket in the environment:
 * "@NAME/SECRET" is an abstract Unix socket of type SOCK_SEQPACKET. The memfd is
 * sent there when it is made, with that text, as only a program that the tool
 * has started can know it. A program never waits for the tool: where it does
 * not take the connection, the memfd can still be found.
 */
#ifndef URT_BASE_SHARE_H
#define URT_BASE_SHARE_H

#include <stddef.h>

/*
 * A memfd of that name and size, zeroed and sealed. The descriptor has to stay
 * open for the memory to be found. -errno.
 */
int urt__share_new(const char *name, size_t size);

/* Sends it to the socket that the environment variable names. -errno. */
int urt__share_send(int fd, const char *variable);

#endif
