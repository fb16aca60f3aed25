/* SPDX-License-Identifier: MIT */
/*
 * Files that are embedded in the command: programs in other languages, style
 * sheets, texts. Every file under tools/ whose name ends as one of EMBED in the
 * Makefile is embedded, by its path below tools/.
 */
#ifndef URT_EMBED_H
#define URT_EMBED_H

#include <stdio.h>

struct embedded {
	const char *path; /* "service/models/node.cjs" */
	const char *text; /* its bytes, and a NUL after the last one */
	const char *end;  /* after its last byte */
};

/* The end of the table has no path. */
extern const struct embedded embedded_files[];

/* Aborts if there is no such file: the path is the program's own. */
const struct embedded *embedded(const char *path);

/* Writes the part of such a file before "@DATA@"; the part after it. */
const char *embedded_begin(FILE *, const char *path);

#endif
