/* SPDX-License-Identifier: MIT */
/* What trace_find.c, which finds pages, shares with trace_pages.c, which reads
 * them. */
#ifndef URT_TRACE_PARTS_H
#define URT_TRACE_PARTS_H

#include "held.h"
#include "pages.h"
#include "trace_pages.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define REFUSED_MAX 64

struct reading {
	struct run *run;   /* whose ring it is */
	uint64_t tail;	   /* number of the next event */
	int64_t copied_ns; /* of the last event in the queue; 0: none yet */
	struct held_queue queue;
};

struct run {
	struct trace_head *head;      /* NULL: a free place */
	struct urt__trace_page *page; /* NULL: its process has ended */
	struct page_map map;	      /* not of ours */
	unsigned number;
	pid_t pid;	  /* 0: not known */
	unsigned used;	  /* rings below this one may have events */
	int64_t until_ns; /* as we last set it */
	int64_t from_ns;  /* nothing of it can be older */
	int64_t read_ns;  /* last time */
	bool ours;	  /* mapped by us */
	bool launched;	  /* it has traced for us from its start */
	bool ended;	  /* its process has; read once more, then unmapped */
	bool over;	  /* ... and that was given out */
	struct reading *ring;
};

struct trace_pages {
	struct run run[TRACE_RUNS_MAX];
	struct held *held;
	struct urt__trace_event some[256]; /* on their way there */
	int64_t ahead_ns;		   /* of its clock to CLOCK_MONOTONIC */
	/* The rings that have events to give out, the earliest first: a heap,
	 * made anew after each round. */
	struct reading **heap;
	bool heap_made;
	unsigned waiting, heap_places; /* one for each ring of all runs */
	unsigned top; /* runs from this place on were never used */
	unsigned runs, missed;
	unsigned sample;	    /* see trace_pages_sample */
	ino_t refused[REFUSED_MAX]; /* pages, the last ones */
	const char *why;
	uint64_t lost;
	bool any_ended;	  /* look for a run that is over */
	int64_t first_ns; /* no event that is still to be given out is older */
	int64_t moment_ns, begun_ns;
	struct page_inbox *inbox;
	uint8_t *looked_at; /* by PID: how often, for the search of all */
};

#endif
