/* SPDX-License-Identifier: MIT */
/* Shared by the measurements: a server, a load generator, looks at /proc. */
#ifndef URT_DEMO_STAGE_H
#define URT_DEMO_STAGE_H

#include "../../lib/launch.h"
#include "../../lib/proc.h"
#include "lab.h"

struct stage {
	struct lab *lab;
	struct demo_outcome *outcome; /* of this measurement */
	const struct model *model;
	const struct demo_backend *backend;
	struct launch server;
	int port;   /* of the server */
	int out;    /* the server's output; -1: not kept */
	pid_t load; /* the generator; 0: none */
	struct load_shared *shared;
};

/*
 * Starts the server on a CPU (-1: on all), counted if the demo counts. False:
 * it does not run, and the outcome says why. Call stage_end in either case. The
 * second one uses the nth backend instead of the first.
 */
bool stage_begin(struct stage *, struct lab *, struct demo_outcome *,
		 const struct model *, int cpu);
bool stage_begin_nth(struct stage *, struct lab *, struct demo_outcome *,
		     const struct model *, int cpu, unsigned nth);
void stage_end(struct stage *);

/* Starts a generator; its server and TLS are filled in. stage_load_stop before the
 * next one. */
void stage_load(struct stage *, struct load_options *);
void stage_load_stop(struct stage *);
/* Makes the generator count unanswered requests, and end; its figures exist
 * until stage_load_stop. */
void stage_load_end(struct stage *);

/* Waits until all connections are open. False: they are not, and the outcome
 * says why. */
bool stage_connected(struct stage *);

/* Waits for ns, or until Ctrl-C or the server's death, after which it returns
 * false. */
bool stage_wait(struct stage *, int64_t ns);

/* The same, until *n has changed, for at most some seconds, since a pause of
 * the machine does not mean that the server is stuck. */
bool stage_wait_longer(struct stage *, const uint64_t *n, uint64_t before);

/* Waits for --seconds, and then until *n has changed. The caller measures the
 * time. */
bool stage_wait_for_answers(struct stage *, const uint64_t *n);

/* Asks the server by a signal, to which it answers with a line on its stdout.
 * False: no answer within this time. */
bool stage_ask(struct stage *, int sig, int ms, char *answer, size_t size);

/* CPU time that a process and its children used; 0: gone. */
int64_t stage_cpu_ns(pid_t);
/* The sum of a field of /proc/PID/status over the process and its children. */
long stage_status(pid_t, const char *field);

/* Memory of the kernel itself, bytes. */
long stage_kernel_bytes(void);

void stage_failed(struct demo_outcome *, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
