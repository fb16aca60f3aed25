/* SPDX-License-Identifier: MIT */
/*
 * The coroutines of a running program, read from outside without stopping it;
 * how: coros.c and uring_rt/base/outside.h.
 */
#ifndef URT_COROS_H
#define URT_COROS_H

#include "context.h"
#include "unwind.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum coro_state {
	CORO_PARKED,
	CORO_RUNNABLE, /* or about to be: its wait is over */
	CORO_RUNNING,  /* on a worker */
	CORO_ENDED,    /* not joined yet */
	CORO_SYSCALL,  /* of Go: its thread is in a system call or in C */
	CORO_STATES
};
extern const char *const coro_state_names[];

/* One coroutine at one moment. */
struct coro_seen {
	uint64_t id, parent; /* parent: 0: none */
	enum coro_state state;
	const char *reason; /* of its wait */
	int64_t wait_ns;    /* so far; -1: it does not wait */
	uint64_t object;    /* address of what it waits for; 0: none */
	int opcode, fd;	    /* of its operation; -1: it has none */
	uint64_t fn;	    /* where it began */
	uint64_t created;   /* the code after its start; 0: n/a */
	int tid;	    /* of the worker's thread that runs it; or 0 */
	const struct context_seen *context; /* NULL: none */
	bool whole;   /* the last frame is the outermost one */
	bool changed; /* it continued each time it was read: no stack */
	/* Addresses of its block, of the lowest byte of its stack, of the last
	 * one in use, and of its end; its park word, and its number in the
	 * program. */
	uint64_t block, lowest, sp, top, park;
	uint32_t number;
	unsigned frames;	    /* of pc, innermost first */
	uint64_t pc[UNWIND_FRAMES]; /* the last member */
};

struct coros;
struct urt__outside;

/* The program's description of its layout, checked; false: there is none. */
bool coros_outside(pid_t, struct urt__outside *);

/* Of a program on uring_rt, or of a Go program (goroutines.h). NULL: this is not
 * possible, and why gives the reason in one line. */
struct coros *coros_open(pid_t, char *why, size_t size);
void coros_close(struct coros *);

struct modules *coros_modules(const struct coros *);
/* The version of Go; NULL: the program runs on uring_rt. */
const char *coros_go(const struct coros *);
const struct urt__outside *coros_layout(const struct coros *);

/* The cost of a look, and its results. */
struct coros_look {
	uint64_t coroutines;
	uint64_t by_state[CORO_STATES];
	uint64_t again;	     /* read again, because they continued meanwhile */
	uint64_t changed;    /* given up after some tries */
	uint64_t unreadable; /* their memory could not be read */
	int64_t ns;
};

/*
 * Calls seen for each coroutine; with its stack, if wanted. 0; -ESRCH: the
 * program, or its run, has ended; -EPERM; -ETIME: its memory does not answer;
 * -E2BIG: it claims more coroutines than can be read in max_ns.
 */
#define COROS_DUMP_NS (60 * NS_PER_S)
#define COROS_LIVE_NS (5 * NS_PER_S) /* of a look that is repeated */
int coros_look(struct coros *, bool stacks,
	       void (*seen)(const struct coro_seen *, void *arg), void *arg,
	       struct coros_look *, int64_t max_ns);

#endif
