/* SPDX-License-Identifier: MIT */
/*
 * The load generator: many connections of HTTP/1.1, one thread. `urt load`
 * runs several of them, each in a process of its own.
 *
 * Closed loop: each connection sends a request when it has read the answer to
 * the one before, so the rate adapts to the server, and the latencies are those
 * of a server loaded to its limit. Open loop: requests are due at a given rate,
 * even if the server is slow, and a latency counts from the moment at which the
 * request was due, not from when a connection was free to send it: a stalled
 * server is charged with all requests that it made wait. So there is no
 * coordinated omission, which a closed loop has.
 */
#ifndef URT_LOAD_H
#define URT_LOAD_H

#include "../lib/histogram.h"
#include "tls.h"
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

struct load_options {
	struct sockaddr_in server; /* the server to load */
	const char *path;	   /* "/..." */
	long connections;	   /* at a time */
	double rate; /* requests per second of the open loop; 0: closed loop */
	/* Delay of the open loop's schedule, as a part of the distance between
	 * two requests, so that several generators take turns. */
	double rate_offset;
	uint64_t requests; /* sent in all, the first ones included; 0: no end */
	/* After this number of answers, a connection is closed, and the next
	 * request opens a new one, which its latency includes; 0: never. */
	long per_connection;
	bool tls;   /* HTTP over TLS (tls.h) */
	bool spin;  /* never sleep while the load lasts */
	bool hold;  /* each connection asks once, and then waits */
	long first; /* connections of the generators before this one */
	/* While connections are opened: requests that wait in the backend, so
	 * that no more are opened than the server accepts; NULL: unknown. */
	const uint64_t *waiting;
	const char *burst_path; /* asked in between, on its own
				     * connection; NULL: no */
	int64_t burst_every_ns; /* how often */
};

/* Latencies of the open loop by the time since the last burst was due. */
#define LOAD_PHASES 50

struct load_phase {
	uint64_t count;	 /* requests that were due in it */
	uint64_t sum_ns; /* of their latencies */
	uint64_t max_ns; /* the longest of them */
};

/*
 * Shared between the generator and its watcher. The generator writes all
 * fields, except as noted. Latencies are kept while recording is set.
 */
struct load_shared {
	uint64_t completed;  /* answers with status 200 */
	uint64_t errors;     /* other answers, and connections that broke */
	uint64_t opened;     /* connections that were ever connected */
	uint64_t broken;     /* of errors: connections that broke */
	uint64_t no_length;  /* of errors: answers without Content-Length */
	uint64_t unanswered; /* open loop: due and not answered at the end;
				   those due while recording are in latency,
				   with the time that they had waited */
	uint64_t charged;    /* of latency: those requests */
	/* Open loop: how late requests were sent although a connection was
	 * free: the generator's own delay. */
	uint64_t late_count, late_sum_ns, late_max_ns;
	int64_t connected_ns;	/* when all were connected and answered once
				   (with hold: were connected); 0: not yet */
	int64_t last_answer_ns; /* when the last answer came */
	int recording;		/* by the watcher */
	int64_t recording_ns;	/* since when; by the watcher, or 0 */
	int stop;		/* by the watcher */
	int failed_errno;	/* connecting failed; the generator has ended */
	char tls[LOAD_TLS_SAID]; /* of the first handshake; see load_tls_shake */
	struct histogram latency; /* ns */
	uint64_t bursts;	  /* answered while recording */
	uint64_t burst_sum_ns;	  /* of their latencies */
	struct load_phase phase[LOAD_PHASES];
};

/* Zeroed memory that a forked generator shares. NULL: no memory. */
struct load_shared *load_shared_new(void);
void load_shared_free(struct load_shared *);

/* Runs until shared->stop. 0, or -errno if it could not connect. */
int load_run(const struct load_options *, struct load_shared *);

#endif
