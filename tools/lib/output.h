/* SPDX-License-Identifier: MIT */
/* Files that a command writes, perhaps as root in another user's directory. */
#ifndef URT_OUTPUT_H
#define URT_OUTPUT_H

#include <stdio.h>

/*
 * A new file, which takes the place of one of that name: nothing is written
 * into a file that is there, and no link is followed. A link, or a file that is
 * not regular, is refused, except /dev/stdout, /dev/stderr, /dev/fd/N and devices
 * below /dev. NULL: it cannot be written; an error message was printed.
 */
FILE *output_open(const char *path);

/* The same, but at the end of a file that is there: one that belongs to us and
 * has no other name, since somebody else's may be anything. */
FILE *output_append(const char *path);

/* Before urt exits: code, or EXIT_BAD with a message where it would be 0 and the
 * standard output, on a full disk perhaps, did not take everything. */
int output_end(int code);

#endif
