/* SPDX-License-Identifier: MIT */
/*
 * How another process reads the coroutines of a run from its memory, without
 * stopping it: where the control blocks lie, and at which offsets their fields
 * are. A part of the counters page's header (stats.h), so a tool finds it as it
 * finds that, and need not be of the same version as the program.
 *
 * Everything here is written before the first coroutine starts and does not
 * change; version is written last.
 *
 * Blocks lie at the tops of stacks, and stack i of an array of them ends at
 *
 *	base + (i + 1) * stride - i % colours * colour_step
 *
 * for i below `used`. base, stride and used are read from the program, for each
 * of nr_stacks arrays, since arrays are made when they are first needed; a base
 * of 0 is none. A block is never unmapped nor used for anything else.
 *
 * The park word is a sequence lock over all of a parked coroutine: its stack,
 * its registers, what it waits for, its context. It is sequence << 2 | state,
 * where 0 is not parked and all others are (2: on an operation), and each wait
 * has the next sequence. A reader takes the word, then all else, and then the
 * word again: if it is the same and says parked, what was read belongs to that
 * wait. A stack or a context that it read of a coroutine which was not parked
 * may be torn.
 *
 * A reader must treat all of this as untrusted: any program may have written
 * it.
 */
#ifndef URT_BASE_OUTSIDE_H
#define URT_BASE_OUTSIDE_H

#include "base.h"

#define URT__OUTSIDE_VERSION	1
#define URT__OUTSIDE_REASONS	32
#define URT__OUTSIDE_REASON_LEN 24
/* A timer's word is number << 40 | sequence of the wait, below bit 40, and a
 * coroutine's number is its array's << 21 | its stack's. */
#define URT__OUTSIDE_CLASS 21
#define URT__OUTSIDE_SEQ   40

/* Offsets in bytes from the beginning of a structure. */
struct urt__outside {
	uint32_t version;
	uint32_t size; /* of this structure, bytes */

	uint64_t stacks; /* address of the arrays' structures */
	uint32_t nr_stacks;
	uint32_t stacks_size; /* of one structure, bytes */
	uint16_t stacks_base, stacks_stride, stacks_used;
	uint16_t colours, colour_step;

	/* Control blocks: ends at the top of its stack. */
	uint16_t block_size;
	uint16_t block_park, block_reason, block_id, block_parent;
	uint16_t block_ctx; /* stack pointer, frame pointer, program counter */
	uint16_t block_fn, block_scope, block_scope_fn;
	uint16_t block_context;	 /* address of an OTEP 4947 record, or 0 */
	uint16_t block_since_ns; /* CLOCK_MONOTONIC */
	uint16_t block_object, block_op, block_cancel_op, block_deadline_ns;
	uint16_t block_lowest;

	/* Operations: what user_data of a request points at. */
	uint16_t op_coro, op_what; /* its block; the request's first 8 bytes */

	/* Workers: an array of pointers, and how many of them are set. */
	uint64_t workers, nr_workers; /* addresses; of 8 and 4 bytes */
	uint16_t worker_current, worker_tid, worker_index;

	uint16_t reasons;
	uint64_t entry; /* where a coroutine that never ran is */
	char reason[URT__OUTSIDE_REASONS][URT__OUTSIDE_REASON_LEN];
};
static_assert(sizeof(struct urt__outside) == 104 + 32 * 24, "version 1");

#endif
