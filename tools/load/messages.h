/* SPDX-License-Identifier: MIT */
/*
 * Load for the servers of messages (lib/message.h): connections that ask again
 * as soon as they are answered, some of whose messages ask for a busy loop;
 * many connections at once; connections one after another.
 */
#ifndef URT_LOAD_MESSAGES_H
#define URT_LOAD_MESSAGES_H

#include "../lib/histogram.h"
#include "../lib/message.h"
#include <signal.h>
#include <stdbool.h>

struct messages_plan {
	int port;
	long connections;
	int threads;	 /* of the load, each with its share of connections */
	int not_on_cpu;	 /* the server's; -1: anywhere */
	int64_t warm_ns; /* before anything counts */
	int64_t ns;	 /* how long it counts */
	/* Busy loops: each connection has moments, a Poisson process of this
	 * rate; the first message after one asks for a loop of this length.
	 * Moments that pass during one message count as one; otherwise an
	 * overloaded server would soon get only loops. 0: none. */
	double loop_hz;
	uint32_t loop_ns;
	const volatile sig_atomic_t *stop; /* if set: ends early, -EINTR */
};

struct messages_result {
	double rate;		/* answers a second, with and without a loop */
	struct histogram plain; /* latencies in ns of messages without one */
	struct histogram loop;	/* of those with one */
};

/* 0 or -errno; no message was printed. */
int messages_load(const struct messages_plan *, struct messages_result *);

/*
 * The matrix of ClickHouse/silk (its docs/work-stealing.md). Some messages
 * carry a busy loop, at moments that are a Poisson process for each connection,
 * and the rest should be answered meanwhile. The load is the part of the
 * server's CPUs that the loops alone would take if none came late:
 *
 *	connections x loops a second and connection x length / CPUs
 *
 * Below 1 (64 %), the question is which messages wait behind a loop; above 1
 * (160 %), what becomes of the messages without one.
 */
struct stall_case {
	const char *name;
	long connections; /* for each CPU of the server */
	uint32_t loop_ns;
	double loop_hz; /* a connection */
};
#define STALL_CASES 4
extern const struct stall_case stall_cases[STALL_CASES];

/* Loads a server with one of them, from as many threads as the server has
 * workers; the threads stay off cpu (-1: none). As messages_load. */
int messages_stall(const struct stall_case *, const struct messages_plan *,
		   int workers, struct messages_result *);

/*
 * Opens n connections; then all ask at once, and again after each answer. ns
 * from a connection's first message to its answer: the median's and the last's.
 * 0 or -errno.
 */
int messages_burst(const struct messages_plan *, double *median, double *last);

/* One connection after another, each asked once and then reset: connections per
 * second. */
int messages_in_turn(const struct messages_plan *, double *rate);

/* A connection, blocking, that gives up after 10 s; or -errno. */
int messages_connect(int port);

/* Sends the message and waits for the answer. 0 or -errno. */
int messages_ask(int fd, enum message_ask ask, uint32_t n, struct message *);

#endif
