/* SPDX-License-Identifier: MIT */
/* Coroutines that wait in the same way, as one. */
#ifndef URT_GROUPS_H
#define URT_GROUPS_H

#include "coros.h"

#define GROUP_IDS     5
#define GROUP_CONTEXT 64

struct group {
	uint64_t hash;
	enum coro_state state;
	char reason[32];
	int opcode;
	char context[GROUP_CONTEXT]; /* value of the key; "": none */
	unsigned frames;
	uint64_t *pc;
	bool whole;

	uint64_t n;
	uint64_t waiting; /* of n: those whose waiting time is known */
	uint64_t changed;
	int64_t least_ns, most_ns, sum_ns; /* of their waits */
	uint64_t id[GROUP_IDS];		   /* of the first */
	uint64_t fn;			   /* where the first began */
	uint64_t created;		   /* where all were started; 0: n/a */
};

struct groups;

struct groups *groups_new(void);
void groups_free(struct groups *);

/* context: a key that also separates groups; "": none. */
void groups_add(struct groups *, const struct coro_seen *, const char *context);

/* All groups, the largest first. And the number of coroutines that found no
 * room. */
struct group **groups_sorted(struct groups *, size_t *n);
uint64_t groups_other(const struct groups *);

#endif
