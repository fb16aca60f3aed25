/* SPDX-License-Identifier: MIT */
/*
 * The trace rings of programs on uring_rt (base/trace.h): finding them,
 * switching them on, and reading them as one sequence of events.
 */
#ifndef URT_TRACE_PAGES_H
#define URT_TRACE_PAGES_H

#include "../../uring_rt/base/trace.h"
#include <stdbool.h>
#include <sys/types.h>

#define TRACE_PAGES_MAX 64  /* at a time */
#define TRACE_RUNS_MAX	256 /* ... and those of which events are held */

struct held;

struct trace_pages;

/* A page's description of itself when it was found, checked and made
 * printable. */
struct trace_head {
	struct urt__trace_shape shape;
	uint64_t entry;		   /* where the program's entry point is */
	char exe[URT__TRACE_PATH]; /* its file, by its own account */
	int exe_fd; /* its file, by O_PATH, from the kernel; or -1 */
	char reason[URT__TRACE_REASONS][URT__TRACE_REASON_LEN];
};

enum trace_seen_kind {
	TRACE_EVENT,
	TRACE_LOST, /* events of that ring, between the last one and the next */
	TRACE_OVER, /* nothing more comes of this run */
};

/* An event of a ring, or a change of the ring's state. */
struct trace_seen {
	enum trace_seen_kind kind;
	int64_t ns;    /* CLOCK_MONOTONIC; of the last event before the lost
			 ones */
	unsigned run;  /* the run, by a number of our own */
	unsigned ring; /* 0: threads that are not workers */
	pid_t pid;
	uint64_t lost; /* number of lost events */
	struct urt__trace_event event;
	const struct trace_head *head; /* but with TRACE_OVER */
	uint32_t tid;		       /* of the ring's worker */
};

/* The events are held there until they are given out; ahead_ns: of the clock
 * there to CLOCK_MONOTONIC. NULL: out of memory. */
struct trace_pages *trace_pages_new(struct held *, int64_t ahead_ns);
/* Programs that are found from now on write only events of one in n requests
 * (base/trace.h); 0: all. */
void trace_pages_sample(struct trace_pages *, unsigned n);
/* Switches off the tracing that it had switched on. The memory must still be
 * there. */
void trace_pages_free(struct trace_pages *);

/*
 * Programs that are started from now on send their pages (pages.h): they trace
 * from their first event. False: not possible.
 */
bool trace_pages_launching(struct trace_pages *);

/* Finds the rings of a running process, of all, of those launched; call them
 * again for new ones. */
void trace_pages_find(struct trace_pages *, pid_t);
void trace_pages_find_all(struct trace_pages *);
void trace_pages_find_launched(struct trace_pages *);

/* Takes over a page, e.g. one in this process. */
bool trace_pages_add(struct trace_pages *, struct urt__trace_page *);

/*
 * Reads what is there; until the next call, trace_pages_next gives what happened before this
 * moment. Returns the largest share of a ring that was new; 1, too, if the memory
 * is full, so that events should be given out before the next call.
 */
double trace_pages_read(struct trace_pages *);
/* The time of that call, or, if the memory is full, until which all was read; ns. */
int64_t trace_pages_moment(const struct trace_pages *);
/* From now on, those events are given out again that are kept. */
void trace_pages_again(struct trace_pages *);

/*
 * The next event in the order of time, if it happened before before_ns. One
 * coroutine's events are in their order even where the workers' clocks differ.
 */
bool trace_pages_next(struct trace_pages *, int64_t before_ns,
		      struct trace_seen *);

uint64_t trace_pages_lost(const struct trace_pages *);
/* The number of runs found so far, and of those for which there was no room. */
unsigned trace_pages_runs(const struct trace_pages *);
unsigned trace_pages_missed(const struct trace_pages *);
/* Why the last refused run was not read, or not to its end; NULL: all were
 * read. */
const char *trace_pages_why(const struct trace_pages *);

#endif
