/* SPDX-License-Identifier: MIT */
/*
 * Memory that other processes may map: the counters page and the trace rings.
 *
 * The memory is a memfd, which lies in no directory: a killed program leaves
 * nothing behind, and no other program can take its name. The memfd is sealed
 * at its size: a reader that has checked the size once can map it without
 * danger of SIGBUS.
 *
 * A tool finds it through /proc/PID/fd. A program may end before a tool looks
 * there, so a tool that starts programs names a socket in the environment:
 * "@NAME/SECRET" is an abstract Unix socket of type SOCK_SEQPACKET. A program
 * sends its memfd there, together with that text, which only programs
 * started by the tool can know. A program never waits for the tool: if the tool
 * does not take the connection, the memfd can still be found.
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
