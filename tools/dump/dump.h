/* SPDX-License-Identifier: MIT */
/* Shared by the parts of `urt dump`. */
#ifndef URT_DUMP_H
#define URT_DUMP_H

#include "../lib/tool.h"
#include "../measure/groups.h"
#include "leaked.h"

enum dump_form { DUMP_GROUPS, DUMP_EACH, DUMP_FOLDED, DUMP_JSON };

struct dump {
	long pid;
	enum dump_form form;
	bool no_stacks, only_leaked;
	int64_t longer_ns;  /* only those that wait for longer; 0: all */
	const char *key;    /* attribute of contexts to group by; or NULL */
	long limit;	    /* groups or coroutines printed; 0: all */
	char program[64];   /* its name */
	const char *output; /* its file; NULL: stdout */
	FILE *out;

	struct coros *coros;
	struct context_keys keys;
	struct groups *groups;
	struct leaked *leaked; /* NULL: no search was made */
	struct registers_reader *registers;
	char no_registers[256]; /* why registers is NULL */
	struct json json;
	uint64_t printed, left_out; /* coroutines, with DUMP_EACH */
	uint64_t shorter;	    /* waited for less than longer_ns */
};

/* "coroutine", or "goroutine". */
const char *dump_word(const struct dump *);

/* print.c */
void dump_each(struct dump *, const struct coro_seen *);
void dump_groups(struct dump *, const struct coros_look *);
void dump_folded(struct dump *);

/* json.c */
void dump_json_begin(struct dump *);
void dump_json_each(struct dump *, const struct coro_seen *);
void dump_json_end(struct dump *, const struct coros_look *);

#endif
