/* SPDX-License-Identifier: MIT */
/* The goroutines of a running Go program, read from outside without stopping it;
 * how: goroutines.c. For coros.c, which describes the calls. */
#ifndef URT_GOROUTINES_H
#define URT_GOROUTINES_H

#include "coros.h"

struct goroutines;

/* NULL: it is no Go program, and why is left alone; or it cannot be read, and why
 * gives the reason. The modules and the unwinder still belong to the caller. */
struct goroutines *goroutines_open(struct modules *, struct unwind *, char *why,
				   size_t size);
void goroutines_close(struct goroutines *);

/* As "go1.26.1". */
const char *goroutines_version(const struct goroutines *);

int goroutines_look(struct goroutines *, bool stacks,
		    void (*seen)(const struct coro_seen *, void *arg),
		    void *arg, struct coros_look *, int64_t max_ns);

/* What Go does not tell of a goroutine, and why; until NULL. */
struct goroutines_missing {
	const char *member, *why;
};
extern const struct goroutines_missing goroutines_missing[];

#endif
