/* SPDX-License-Identifier: MIT */
/* Pairs of sockets, and runs by the ring or by the thread pool. */
#ifndef URT_TEST_SOCKETS_H
#define URT_TEST_SOCKETS_H

#include "net.h"

extern int fds[2]; /* of pair() */

void pair_of(int type, int fd[2]);
void pair(void);
/* A connection over loopback: [0] listens, [1] is accepted, [2] has connected. */
void tcp_pair(int listener_and_pair[3]);

/* Runs fn; mask 1: without the ring's optional operations, so by the thread pool. */
void with_mask(int mask, unsigned workers, urt_fn *fn);

#endif
