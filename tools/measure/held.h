/* SPDX-License-Identifier: MIT */
/*
 * Events on their way to a timeline: queues of events, each in the order of
 * time, packed into one memory of a fixed size.
 */
#ifndef URT_HELD_H
#define URT_HELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HELD_EVENT 40 /* bytes; an event begins with its time, int64_t ns */
#define HELD_WORDS (HELD_EVENT / 8)

struct held;
struct held_block;

struct held_queue {
	struct held *held;	   /* NULL: it was never used */
	struct held_queue *others; /* of the same memory; or NULL */
	struct held_block *first, *last;
	struct held_block *at;	   /* of the next event to give */
	unsigned pos;		   /* what follows that event, in words there */
	bool unpacked;		   /* the next event is in `next` */
	uint64_t put[HELD_WORDS];  /* the last event */
	uint64_t next[HELD_WORDS]; /* the next one to give, or the last given */
	int64_t ahead_ns; /* from its clock to that of the first queue */
	/* Told each event that is forgotten without being given; or NULL. */
	void (*forgotten)(void *arg, const void *event);
	void *arg;
};

/*
 * keep_ns 0: an event that was given is gone. Else all stay, for keep_ns or as
 * long as there is room, and can be given again. NULL: out of memory.
 */
struct held *held_new(size_t bytes, int64_t keep_ns);
void held_free(struct held *);

void held_begin(struct held *, struct held_queue *, int64_t ahead_ns);
/* Its events are gone; nothing if it was never used. */
void held_end(struct held_queue *);

/*
 * Copies an event to the end of the queue. False: there is no room before events
 * are given. A queue of which nothing waits to be given always has room, so that
 * events of the others can come after its own.
 */
bool held_put(struct held_queue *, const void *event);

/* The next event to give, valid until the next call; or NULL. And: it was
 * given. */
const void *held_next(struct held_queue *);
void held_given(struct held_queue *);

/* All events that are kept are to be given again. */
void held_again(struct held *);
/* Forgets events that are older than keep_ns. */
void held_forget(struct held *);

bool held_keeps(const struct held *);
/* The share of the memory that is in use. */
double held_used(const struct held *);
/* Times by the clock of the first queue: of the youngest event; and the one
 * from which on all are held, because older ones were forgotten. */
int64_t held_newest(const struct held *);
int64_t held_from(const struct held *);
/* Whether the memory was too small for keep_ns. */
bool held_is_short(const struct held *);

#endif
