/* SPDX-License-Identifier: MIT */
/*
 * A call that is written twice in one place: as a submission entry, and as the
 * system call with the same meaning, for kernels whose ring lacks the
 * operation.
 */
#ifndef URT_WAIT_EITHER_H
#define URT_WAIT_EITHER_H

#include "io.h"

struct urt__syscall {
	long nr;
	long a[6];
};

#define PTR(p) ((uintptr_t)(p))

/* By the ring, with how and events as for urt__io_call, or by the thread pool. */
int urt__either(const struct io_uring_sqe *, const struct urt__syscall *,
		enum urt__io_how, short events, int64_t deadline_ns);

#endif
