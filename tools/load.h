/* SPDX-License-Identifier: MIT */
/*
 * The load generator: a closed loop over HTTP/1.1 with keep-alive. Each
 * connection sends a request when it has read the answer to the one before,
 * so the rate adapts to the server and the latencies are those of a loaded
 * server, not of one at a given rate.
 */
#ifndef URT_LOAD_H
#define URT_LOAD_H

#include "histogram.h"
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

struct load_options {
	struct sockaddr_in server;
	const char *path; /* "/..." */
	long connections;
};

/*
 * Shared between the generator and whoever watches it. The generator counts
 * from its first request; latencies are kept while recording is set.
 */
struct load_shared {
	uint64_t completed;   /* answers with status 200 */
	uint64_t errors;      /* other answers, and connections that broke */
	int64_t connected_ns; /* when the last connection stood; 0: not yet */
	int recording, stop;  /* set by the watcher */
	int failed_errno;     /* connecting failed; the generator has ended */
	struct histogram latency; /* ns */
};

/* Zeroed memory that a forked generator shares. NULL: none. */
struct load_shared *load_shared_new(void);
void load_shared_free(struct load_shared *);

/* Runs until shared->stop. 0, or -errno if it could not connect. */
int load_run(const struct load_options *, struct load_shared *);

#endif
