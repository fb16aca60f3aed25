/* SPDX-License-Identifier: MIT */
/* Files that a command writes, perhaps as root in another user's directory. */
#ifndef URT_OUTPUT_H
#define URT_OUTPUT_H

#include <stdio.h>

/*
 * A new file, which replaces one of that name: nothing is written into an
 * existing file, and no link is followed. A link, or a file that is not
 * regular, is refused, except /dev/stdout, /dev/stderr, /dev/fd/N and devices
 * below /dev. NULL: it cannot be written; an error message was printed.
 */
FILE *output_open(const char *path);

/* The same, but at the end of an existing file, which must belong to us and
 * have no other name: another user's file may be anything. */
FILE *output_append(const char *path);

/* Before urt exits. Returns code, or EXIT_BAD after a message if code is 0 and
 * the standard output could not be written completely, as on a full disk. */
int output_end(int code);

#endif
