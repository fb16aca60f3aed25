/* SPDX-License-Identifier: MIT */
/* Known places in the source; lists.c. */
#ifndef EXPLORE_LISTS_H
#define EXPLORE_LISTS_H

struct x_known {
	const char *function; /* that contains or inlines it; or NULL */
	const char *text;     /* of its line; NULL: all of a file, which
				 `function` names */
	const char *reason;
};

/* Plain accesses that may race; atomic operations that no scenario reaches. */
extern const struct x_known x_races[], x_unreached[];

/* A fault that is planted, and the scenario that must find it. */
struct x_fault {
	const char *scenario;
	int mutation; /* enum x_mutation */
	const char *function, *text;
};
extern const struct x_fault x_faults[];

#endif
