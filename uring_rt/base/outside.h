/* SPDX-License-Identifier: MIT */
/*
 * How another process reads the coroutines of a run from its memory, without
 * stopping it: where the control blocks lie, and at which offsets their fields
 * are. This is a part of the counters page's header (stats.h), so a tool finds
 * both in the same way, and need not have the program's version.
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
 * of 0 is none. A block is never unmapped or used for anything else.
 *
 * The park word is a sequence lock over all of a parked coroutine: its stack,
 * its registers, the object of its wait, its context. The word is sequence << 2
 * | state. State 0 means not parked, all others mean parked (2: on an
 * operation), and each wait takes the next sequence. A reader reads the word,
 * then all else, and then the word again: if the word is unchanged and its
 * state is parked, all that was read belongs to that wait. Otherwise the stack
 * or the context that was read may be torn.
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

#define URT__SIGNAL_STACK (64 * 1024) /* bytes, of each worker */

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

	/* Operations: user_data of a request points at one. */
	uint16_t op_coro, op_what; /* its coroutine's block; its request's first
				      8 bytes */

	uint16_t worker_signal_stack; /* address of a worker's; 0: it is not
					 told, as by earlier versions */

	/* Workers: an array of pointers, and how many of them are set. */
	uint64_t workers, nr_workers; /* addresses; of 8 and 4 bytes */
	uint16_t worker_current, worker_tid, worker_index;

	uint16_t reasons;
	uint64_t entry; /* where a coroutine that never ran is */
	char reason[URT__OUTSIDE_REASONS][URT__OUTSIDE_REASON_LEN];
};
static_assert(sizeof(struct urt__outside) == 104 + 32 * 24, "version 1");

#endif
