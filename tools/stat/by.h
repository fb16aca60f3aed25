/* SPDX-License-Identifier: MIT */
/* `urt stat --by`: the counts, split into rows. */
#ifndef URT_BY_TABLE_H
#define URT_BY_TABLE_H

#include "requests.h"

/* One row, by its counts. */
struct stat_row {
	uint32_t row;
	char name[256];
	/* From here on, only counts: rows are added up (stat_by_merge). */
	uint64_t cause[2][URT_CAUSES]; /* switches; [1]: voluntary */
	uint64_t made[URT_SYSCALL_SLOTS], made_32;
	uint64_t submitted[URT_URING_OPS];
	uint64_t on_cpu_ns, off_cpu_ns, run_delay_ns, faults;
	uint64_t switches, syscalls, requests; /* sums of the above */
};

struct stat_by {
	enum urt_by by;
	char key[72]; /* of contexts */
	size_t n;
	struct cgroups *cgroups; /* while it is read */
	struct stat_row **row;	 /* the one with most events first */
	uint64_t requests;	 /* of rows of contexts, and of the row
				    "none" */
	/* Known: */
	bool syscalls, uring, on_cpu, run_delay, faults;
	struct stat_requests *single; /* NULL: not by context */
	char why[256]; /* not "": no process announces contexts, for this
			  reason */
};

/* By enum urt_by; ends with NULL. */
extern const char *const stat_by_names[];

/* "thread", "comm", "cgroup", "context" or "context:KEY"; false: an error message was printed.
 * key: NULL: none given. */
bool stat_by_parse(const char *text, enum urt_by *, const char **key);

/* All rows so far, to be freed. key: that of contexts, or "". single becomes part
 * of it. */
struct stat_by *stat_by_read(struct counter *, enum urt_by, const char *key,
			     bool by_unit, struct stat_requests *single);
void stat_by_free(struct stat_by *);

/* Merges rows of cgroups into rows of those names, each with the cgroups below
 * it, and one row of all others. names: NULL: rows of the same name are
 * merged. */
void stat_by_merge(struct stat_by *, const char *names);

void stat_by_print(FILE *, const struct stat_by *);
void stat_by_json(struct json *, const struct stat_by *);

#endif
