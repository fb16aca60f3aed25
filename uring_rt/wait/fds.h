/* SPDX-License-Identifier: MIT */
/* The operations in flight on each descriptor; how and why: fds.c. */
#ifndef URT_WAIT_FDS_H
#define URT_WAIT_FDS_H

#include "io.h"
#include "wait.h"

/* An operation, on the stack of the coroutine that is parked for it. */
struct urt__io {
	struct urt__op op;
	uint64_t seq;
	int32_t res;
	uint32_t flags;	      /* of its completion */
	uint64_t what;	      /* its request's first 8 bytes, for outside.h */
	bool soon;	      /* handed over at once if there are two such */
	bool awake;	      /* its coroutine has not parked yet */
	bool came;	      /* ... and its completion came meanwhile */
	bool early;	      /* listed during a close; fd->lock */
	struct urt__io *next; /* on the same descriptor; fd->lock */
	struct urt__io **at;  /* the link to it in that list; fd->lock */
};

struct urt__fd {
	uint32_t lock;
	uint16_t closing; /* closes that are under way: a file that reuses the
	                     number can be closed before an earlier closer
	                     has continued */

	/* Both relaxed. fixed: the descriptor's place in every ring's table,
	 * from 1; 0: none. kind: enum urt__fd_kind; a guess if the number was
	 * reused after a plain close. */
	_Atomic uint16_t fixed;
	_Atomic uint8_t kind;

	struct urt__io *ios;	 /* in flight */
	struct urt_coro *closer; /* waits until no operation is left */
	uint64_t closer_seq;
};

/* The completion of an operation: io.op.done is this function, or calls it. */
void urt__io_done(struct urt__op *, int32_t res, uint32_t flags);
/* Waits for the descriptor; between enter and leave. */
int urt__poll(int fd, short events, int64_t deadline_ns);

/* The entry, or NULL: not a descriptor, or too large for the table. */
struct urt__fd *urt__fd(int fd);

/* Makes the kernel's table of descriptors larger; on the helper's thread. */
void urt__fds_widen(void);

/* How reads and writes of a descriptor behave. */
enum urt__fd_kind {
	URT__FD_UNKNOWN, /* not yet determined */
	URT__FD_OTHER,	 /* it waits for another side */
	URT__FD_CACHED,	 /* a file, through the page cache */
	URT__FD_DIRECT,	 /* ... with O_DIRECT */
};
enum urt__fd_kind urt__fd_kind(struct urt__fd *, int fd);

/* Lists an operation (its fd is set) before its coroutine parks; false: the
 * descriptor is just being closed, and `anyway` is not set. If `anyway` is set,
 * the operation is early: the end of the close interrupts it, and it begins
 * anew. Unlists an operation whose completion has come. */
bool urt__fd_list(struct urt__io *, bool anyway);
void urt__fd_unlist(struct urt__io *);

/*
 * Begins a close: ends the operations in flight with -ECANCELED and returns
 * when none is left. May suspend. From then on, no operation is listed until
 * urt__fd_closed, after the close.
 */
void urt__fd_closing(struct urt__fd *);
void urt__fd_closed(struct urt__fd *);

/* Whether to repeat an operation on a descriptor that ended with *ret, after
 * waiting until the descriptor is ready. events and the rest are as for
 * urt__io_call; tries: 0 at first. Between enter and leave. */
bool urt__io_again(int *ret, int fd, short events, int64_t deadline_ns,
		   unsigned *tries);

/* Writes the rest of a vector after `done` bytes, by urt_write, or by urt_send
 * with flags from 0 up. Returns the bytes written in all. */
ssize_t urt__send_rest(int fd, const struct iovec *, size_t n, size_t done,
		       int flags, int64_t deadline_ns);

/* A run's table of descriptors, with those that it registers with all rings.
 * -ENOMEM. */
int urt__fds_open(const int *fixed, unsigned nr_fixed);
void urt__fds_close(void);

#endif
