/* SPDX-License-Identifier: MIT */
/*
 * Reading the memory of a running process, which continues meanwhile: many
 * pieces per call (process_vm_readv). Addresses come from the process, so any
 * of them may be invalid, and the data may be anything.
 */
#ifndef URT_REMOTE_H
#define URT_REMOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
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

/* Whether the files of /proc/PID that show its memory and descriptors can be read
 * without waiting for ever; see remote.c. */
bool remote_answers(pid_t);
#define REMOTE_SILENT \
	"it does not answer: a file system holds it up, or it is too busy"

/* Whether the process may be read at all; if not, gives the reason and the
 * remedy. */
bool remote_allowed(pid_t, uint64_t some_address, char *why, size_t size);

/* The text for such an error. */
const char *remote_error(int err);

#endif
