/* SPDX-License-Identifier: MIT */
/*
 * Reading the memory of a running process, which continues meanwhile: many
 * pieces a call (process_vm_readv). Addresses come from the process, so any of
 * them may lead nowhere; what was read may be anything.
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
	size_t size; /* bytes; 0 once it turned out that they are not there */
};

/* Reads them in order, each at most 1 MiB. 0; -EPERM: not allowed; -ESRCH: it has
 * ended; -ETIME: its memory does not answer, and is asked no more. */
int remote_read_all(pid_t, struct remote_piece *, size_t n);

/* One, of any size. False: not all of it is there. */
bool remote_read(pid_t, uint64_t at, void *to, size_t size);

/* Whether it may be read at all; else says what to do, and why not. */
bool remote_allowed(pid_t, uint64_t some_address, char *why, size_t size);

/* What such an error means. */
const char *remote_error(int err);

#endif
