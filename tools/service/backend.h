/* SPDX-License-Identifier: MIT */
/*
 * The backend of the experiment: answers "ok\n" to "N\n" after N ms. It listens
 * on several loopback addresses, each of which has ports of its own: a single
 * address would allow 28,000 connections.
 */
#ifndef URT_BACKEND_H
#define URT_BACKEND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define BACKEND_ADDRESSES 4 /* 127.0.0.1 to .4 */

/* Listens on all of them, on one port; 0: any free one, which is returned in
 * *port. False: an error message was printed. */
bool backend_listen(int *port, int fds[BACKEND_ADDRESSES]);

/* Kept by the backend, in shared memory. */
struct backend_counts {
	uint64_t waiting; /* requests that wait now */
	uint64_t served;  /* that came so far */
	int keep; /* by the reader: they wait until SIGUSR1, not for their ms */
};

/* Serves forever. The counts may be NULL. SIGUSR1 answers all that wait at
 * once. */
_Noreturn void backend_serve(const int fds[BACKEND_ADDRESSES],
			     struct backend_counts *);

/* The same in a process of its own, on this CPU (-1: any), which ends with ours and
 * ignores Ctrl-C. Returns its PID, or -1 after an error message. */
pid_t backend_start(int *port, int cpu, struct backend_counts *);

#endif
