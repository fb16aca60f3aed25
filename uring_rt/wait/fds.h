/* SPDX-License-Identifier: MIT */
/* What is in flight on each descriptor; how and why: fds.c. */
#ifndef URT_WAIT_FDS_H
#define URT_WAIT_FDS_H

#include "wait.h"

/* An operation of a coroutine, on its stack while it is parked on it. */
struct urt__io {
	struct urt__op op;
	struct urt_coro *coro;
	uint64_t seq;
	int32_t res;
	uint32_t flags;	      /* of its completion */
	struct urt__fd *fd;   /* NULL: it is listed nowhere */
	bool soon;	      /* see urt__fd_how */
	struct urt__io *next; /* on the same descriptor; fd->lock */
	struct urt__io **at;  /* where the one before points at it; fd->lock */
};

struct urt__fd {
	uint32_t lock;
	uint8_t waited; /* how often receiving had to wait of late: 0 to 3;
	                    relaxed, a guess */
	uint16_t fixed; /* its place in every ring's table, from 1; 0: none */
	_Atomic uint8_t
		direct;	     /* O_DIRECT: 1 + whether it has it; 0: not asked.
	                            Relaxed, a guess once the number is reused */
	struct urt__io *ios; /* in flight */
	struct urt_coro *closer; /* waits until there are none */
	uint64_t closer_seq;
};

/* The completion of one; what io.op.done is, or calls. */
void urt__io_done(struct urt__op *, int32_t res, uint32_t flags);
/* Waits for the descriptor; between enter and leave. */
int urt__poll(int fd, short events, int64_t deadline_ns);

/* The entry, or NULL: no descriptor, or one too large to be followed. */
struct urt__fd *urt__fd(int fd);

/* How to make an operation at that offset (URT__HERE: at none): listed, and
 * soon if it goes to a disk, past the cache. */
unsigned urt__fd_how(int fd, uint64_t offset);

/* Lists one that is about to park, which has its fd; unlists one whose
 * completion has come. */
void urt__fd_list(struct urt__io *);
void urt__fd_unlist(struct urt__io *);
/* It is about to be closed: ends the operations that are in flight, with
 * -ECANCELED, and returns when none is. May suspend. */
void urt__fd_closing(struct urt__fd *);

#endif
