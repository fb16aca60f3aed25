/* SPDX-License-Identifier: MIT */
/* The parts of `urt compare` to each other; see compare.c. */
#ifndef URT_COMPARE_H
#define URT_COMPARE_H

#include "../stat/stat.h"

#define RUNS_MAX     200
#define NAMES_MAX    600 /* figures */
#define COMMANDS_MAX 8

/* One of the commands. The first is A; the others are compared with it. */
struct side {
	struct stat_options options; /* with its command */
	double *value; /* [name * RUNS_MAX + run]; NAN: was not available */
};

struct runs {
	struct side side[COMMANDS_MAX];
	unsigned sides;
	long n;	     /* rounds, in each of which each command ran */
	long wanted; /* ... and rounds wanted */
	long warmup; /* uncounted rounds before them */
	char name[NAMES_MAX][64];
	unsigned names;
	int code; /* our exit code, if something went wrong */
	/* With --silent: stdout and stderr of the commands. */
	bool silent;
	int output[2];
};

/* The difference of one figure between command A and another. */
struct comparison {
	const char *name;
	double a, b;	  /* medians */
	double shift;	  /* from A to B */
	double low, high; /* of it, at 95 % */
	bool sure;	  /* 0 lies outside */
};

/* ---- measuring (runs.c) ---- */

/* Room for the values; false: an error message was printed. */
bool runs_prepare(struct runs *);
void runs_free(struct runs *);

/* False: a run failed, and code is the exit code. After an interruption, the
 * rounds so far are the result. */
bool runs_measure(struct runs *);

/* Compares figure i of A and of another command. False: one of them lacks
 * it. */
bool runs_compare(const struct runs *, unsigned i, unsigned other,
		  struct comparison *);

/* ---- printing (print.c) ---- */

void compare_print_text(FILE *, const struct runs *, bool all);
void compare_print_markdown(FILE *, const struct runs *, bool all);
void compare_print_json(FILE *, const struct runs *);

#endif
