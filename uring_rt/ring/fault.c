// SPDX-License-Identifier: MIT
/*
 * Requests that fail, for tests (base/sys.h, URT__SYS_OPERATION).
 *
 * Replacing only the result of a request that was carried out would lose data
 * that a failing kernel does not lose. So a request that has to fail becomes a
 * NOP before the kernel sees it, and one that has to be short asks for half as
 * much. The exception is close, which Linux carries out even when it fails,
 * unless it was cancelled before it began.
 *
 * Data that fits into RECORD comes whole: a siginfo_t through a pipe.
 *
 * A mark in user_data makes the reap replace the result; the reap tests this
 * mark and that of kicks in one branch.
 */
#include "../base/sys.h"
#include "ring.h"
#include <errno.h>
#include <string.h>

#define RECORD 128

static void shorten(struct io_uring_sqe *sqe)
{
	if (sqe->len <= RECORD)
		return;
	switch (sqe->opcode) {
	case URT__OP_READ:
	case URT__OP_WRITE:
	case URT__OP_READ_FIXED:
	case URT__OP_WRITE_FIXED:
	case URT__OP_RECV:
	case URT__OP_SEND:
	case URT__OP_SPLICE:
	case URT__OP_TEE:
		sqe->len = (sqe->len + 1) / 2;
	}
}

static void fail(struct io_uring_sqe *sqe)
{
	uint64_t user_data = sqe->user_data | URT__RING_SPOILED;

	if (sqe->opcode != URT__OP_CLOSE ||
	    urt__sys_faults[URT__SYS_OPERATION].err == ECANCELED) {
		memset(sqe, 0, sizeof(*sqe));
		sqe->opcode = URT__OP_NOP;
	}
	sqe->user_data = user_data;
}

URT__COLD void urt__ring_spoil(struct urt__ring *r)
{
	for (unsigned i = *r->sq_ktail; i != r->sq_tail; i++) {
		struct io_uring_sqe *sqe = &r->sqes[i & r->sq_mask];

		if (sqe->user_data <= URT__RING_KICK ||
		    !urt__sys_fails(URT__SYS_OPERATION))
			continue;
		if (urt__sys_faults[URT__SYS_OPERATION].err)
			fail(sqe);
		else
			shorten(sqe);
	}
}
