/* SPDX-License-Identifier: MIT */
/*
 * A child process that does jobs which may hang in the kernel; see reader.c. remote.h
 * has the jobs that read a process.
 */
#ifndef URT_READER_H
#define URT_READER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define READER_QUESTION (32 << 10)
#define READER_ANSWER	(1 << 20)
#define READER_FDS	250 /* the kernel passes 253 at a time */

/* Descriptors that the child opens and its parent gets. The parent gets fewer if its
 * table is full. */
struct reader_fds {
	unsigned n;
	int fd[READER_FDS];
};

/*
 * Runs in the child, which was forked at any moment of its parent: so it makes system
 * calls, but needs no memory from malloc. The answer has room for READER_ANSWER bytes.
 * Returns >= 0, or -errno.
 */
typedef ssize_t reader_job(pid_t, const void *question, void *answer,
			   struct reader_fds *);

/*
 * Asks about that process. Returns what the job did, or -ETIME: it did not answer, and
 * for a minute nothing more is asked about that process; -EAGAIN or -ENOMEM: there is
 * no child. The answer stays until the next question. fds: NULL if none are opened.
 */
ssize_t reader_ask(pid_t, reader_job *, const void *question, size_t size,
		   const void **answer, struct reader_fds *fds);

/* The same in two steps, with one such question at a time under way: the number for
 * reader_end, or -errno. */
int reader_begin(pid_t, reader_job *, const void *question, size_t size);
ssize_t reader_end(unsigned number, const void **answer, struct reader_fds *);

#endif
