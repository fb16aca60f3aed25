/* SPDX-License-Identifier: MIT */
/*
 * Reading the memory of a running process, which continues meanwhile: many
 * pieces per call (process_vm_readv). Addresses come from the process, so any
 * of them may be invalid, and the data may be anything. And reading those of its files
 * in /proc for which the kernel takes locks that the process may hold for ever:
 * all but `status`, `comm`, `cgroup` and the list of `task`. A child reads (reader.h).
 */
#ifndef URT_REMOTE_H
#define URT_REMOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define REMOTE_PIECES 1024 /* of one call: IOV_MAX */

struct remote_piece {
	uint64_t at; /* there */
	void *to;    /* here */
	size_t size; /* bytes; set to 0 if they are not there */
};

/* Reads them in order, each at most 1 MiB. 0; -EPERM: not allowed; -ESRCH: it has
 * ended; -ETIME: its memory does not answer; nothing more is read of that
 * process for a minute. */
int remote_read_all(pid_t, struct remote_piece *, size_t n);

/*
 * Begins to read them, and meanwhile the caller does something else. First ends what was
 * begun before, and returns the result of that, as remote_end does: that of
 * remote_read_all; 0 if nothing was begun. Until then, pieces belong to remote.c.
 */
int remote_begin(pid_t, struct remote_piece *, size_t n);
int remote_end(void);

/* Reads one piece of any size. False: a part of it is missing. */
bool remote_read(pid_t, uint64_t at, void *to, size_t size);

/* A copy of /proc/PID/NAME, as "maps" or "task/TID/syscall", to be closed by fclose.
 * NULL: it cannot be read, or the process does not answer. */
FILE *remote_file(pid_t, const char *name);

/* A part of it. -errno. */
ssize_t remote_pread(pid_t, const char *name, void *to, size_t size, off_t at);

/* All of a short one, as a string. False: it cannot be read. */
bool remote_text(pid_t, const char *name, char *text, size_t size);

/* Opens /proc/PID/NAME by O_PATH, for each of the names. fd: -1: it cannot be opened. */
#define REMOTE_NAME 64
void remote_open_all(pid_t, const char (*name)[REMOTE_NAME], int *fd, size_t n);
int remote_open(pid_t, const char *name);

/* Whether it answers now. */
bool remote_answers(pid_t);
#define REMOTE_SILENT \
	"it does not answer: a file system holds it up, or it is too busy"

/* Whether the process may be read at all; if not, gives the reason and the
 * remedy. */
bool remote_allowed(pid_t, uint64_t some_address, char *why, size_t size);

/* The text for such an error. */
const char *remote_error(int err);

#endif
