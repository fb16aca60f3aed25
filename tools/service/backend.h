/* SPDX-License-Identifier: MIT */
/*
 * The backend of the experiment: answers "ok\n" to "N\n" after N ms. It listens
 * on several loopback addresses, each of which has ports of its own: one would
 * end at 28,000 connections.
 */
#ifndef URT_BACKEND_H
#define URT_BACKEND_H

#include <stdbool.h>
#include <stdint.h>

#define BACKEND_ADDRESSES 4 /* 127.0.0.1 to .4 */

/* Listens on all of them, on one port; 0: any, and *port says which. False:
 * it cannot; it was said. */
bool backend_listen(int *port, int fds[BACKEND_ADDRESSES]);

/*
 * Serves for ever. *waiting, if not NULL, is kept at the number of requests
 * that wait. SIGUSR1 answers all of them at once.
 */
_Noreturn void backend_serve(const int fds[BACKEND_ADDRESSES],
			     uint64_t *waiting);

#endif
