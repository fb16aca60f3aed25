/* SPDX-License-Identifier: MIT */
/*
 * A file system that does not answer until it is told to: a FUSE server without
 * libfuse, in a process of its own, that serves one file of zeros.
 *
 *	static struct fuse fuse;
 *
 *	if ((why = fuse_start(&fuse)))
 *		SKIP("%s", why);
 *	fuse_hold(&fuse, FUSE_HOLD_READ);	reads do not answer from now on
 *	... a thread or coroutine reads fuse.path ...
 *	while (!fuse_held(&fuse)) ...		until the server has the request
 *	fuse_answer(&fuse);			all held ones answer, and later ones
 *	fuse_stop(&fuse);
 *
 * It is mounted in a mount namespace that the calling process enters and never
 * leaves; each test is a process of its own, so that is fine. If the test dies,
 * the server dies with it and nothing is left behind.
 */
#ifndef URT_TEST_FUSE_H
#define URT_TEST_FUSE_H

#include <stdatomic.h>
#include <sys/types.h>

#define FUSE_HOLD_OPEN	  1u
#define FUSE_HOLD_READ	  2u
#define FUSE_HOLD_RELEASE 4u
#define FUSE_HOLD_LOOKUP  8u
#define FUSE_HOLD_WRITE	  16u
#define FUSE_FILE_SIZE	  (4 << 20) /* bytes; a fault reads one page */

/* Shared with the server. */
struct fuse_control {
	_Atomic unsigned hold;	/* FUSE_HOLD_* */
	_Atomic unsigned held;	/* requests that wait for an answer now */
	_Atomic unsigned reads; /* requests to read, so far */
};

struct fuse {
	char dir[32], path[48]; /* the mount point; the file */
	struct fuse_control *control;
	int bell; /* eventfd: the server looks at control */
	pid_t server;
};

/* NULL, or why there is no file system: the test then skips. */
const char *fuse_start(struct fuse *);
/* Requests of these kinds (FUSE_HOLD_*) do not answer from now on. */
void fuse_hold(const struct fuse *, unsigned kinds);
/* The number of requests that wait for their answer now. */
unsigned fuse_held(const struct fuse *);
void fuse_answer(const struct fuse *);
/* Requests that still wait fail. */
void fuse_stop(const struct fuse *);

#endif
