/* SPDX-License-Identifier: MIT */
/* Files that a command writes, perhaps as root in another user's directory. */
#ifndef URT_OUTPUT_H
#define URT_OUTPUT_H

#include <stdio.h>

/*
 * Opens a directory (O_PATH) by a path on which links are followed only if they are
 * root's or ours: another user's could lead anywhere, and elsewhere each time. -errno:
 * it cannot be opened; then *why may be set to a better reason.
 */
int output_directory(const char *path, const char **why);

/* The same for the directory that a file is in. *name: the file's name there. */
int output_parent(const char *path, const char **name, const char **why);

/*
 * A new file, which replaces one of that name: nothing is written into an
 * existing file, and no link is followed. A link, or a file that is not
 * regular, is refused, except /dev/stdout, /dev/stderr, /dev/fd/N and devices
 * below /dev. NULL: it cannot be written; an error message was printed.
 */
FILE *output_open(const char *path);

/*
 * Replaces a file in a directory that is held, so that a reader sees the old file or
 * the complete new one. output_begin makes the new file; NULL with errno: it cannot.
 * output_replace closes it and renames it to `name`, or removes it if it could not be
 * written: -errno. A process that is killed in between leaves the file `new`.
 */
#define OUTPUT_NEW 32
FILE *output_begin(int dir, char new[OUTPUT_NEW]);
int output_replace(FILE *, int dir, const char *new, const char *name);

/* As output_open, but at the end of an existing file, which must belong to us and
 * have no other name: another user's file may be anything. */
FILE *output_append(const char *path);

/* Writes what is buffered of a command's result: 0, or EXIT_BAD after a message if not
 * all of it could be written. The message names the file (NULL: a standard stream),
 * which is then made empty unless it was appended to. output_failed: the message and
 * this alone, with errno. output_close also closes it. */
int output_flush(FILE *, const char *name);
int output_failed(FILE *, const char *name);
int output_close(FILE *, const char *name);

/* As urt begins: a file larger than RLIMIT_FSIZE is an error, not SIGXFSZ. */
void output_begins(void);

/* Before urt exits. Returns code, or EXIT_BAD after a message if code is 0 and
 * the standard output could not be written completely, as on a full disk. */
int output_end(int code);

#endif
