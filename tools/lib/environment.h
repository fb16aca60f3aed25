/* SPDX-License-Identifier: MIT */
/* The environment variables that programs on uring_rt and urt itself read. */
#ifndef URT_ENVIRONMENT_H
#define URT_ENVIRONMENT_H

#include <stdio.h>

struct environment {
	const char *name, *values, *text;
};

/* The end of the table has no name. */
extern const struct environment environment[];

/* The table, for `urt help environment` and the manual page. */
void environment_print(FILE *);
void environment_man(FILE *);

#endif
