// SPDX-License-Identifier: MIT
/* Tells other processes how to read the coroutines; base/outside.h. */
#include "../wait/io.h"
#include "../base/outside.h"
#include "../wait/fds.h"
#include "watch.h"
#include <string.h>
#undef errno

static_assert(URT__R_COUNT <= URT__OUTSIDE_REASONS, "all have names there");
static_assert(sizeof(struct urt_coro) <= UINT16_MAX, "offsets fit");
static_assert(offsetof(struct urt__ctx, fp) == 8 &&
		      offsetof(struct urt__ctx, pc) == 16,
	      "the order that outside.h states");
static_assert(sizeof(urt__rt.nr_workers) == 4, "... and the sizes");
static_assert(URT__SEQ_BITS == URT__OUTSIDE_SEQ, "... and timers' words");

void urt__outside_fill(struct urt__outside *o)
{
	o->size = sizeof(*o);
	o->stacks = (uintptr_t)urt__rt.stacks;
	o->nr_stacks = URT__CLASSES;
	o->stacks_size = sizeof(struct urt__stacks);
	o->stacks_base = offsetof(struct urt__stacks, base);
	o->stacks_stride = offsetof(struct urt__stacks, stride);
	o->stacks_used = offsetof(struct urt__stacks, used);
	o->colours = URT__STACK_COLOURS;
	o->colour_step = URT__STACK_COLOUR_STEP;
	o->block_size = sizeof(struct urt_coro);
	o->block_park = offsetof(struct urt_coro, park);
	o->block_reason = offsetof(struct urt_coro, reason);
	o->block_id = offsetof(struct urt_coro, id);
	o->block_parent = offsetof(struct urt_coro, parent);
	o->block_ctx = offsetof(struct urt_coro, ctx);
	o->block_fn = offsetof(struct urt_coro, fn);
	o->block_scope = offsetof(struct urt_coro, scope);
	o->block_scope_fn = offsetof(struct urt_coro, scope_fn);
	o->block_context = offsetof(struct urt_coro, context);
	o->block_since_ns = offsetof(struct urt_coro, since_ns);
	o->block_object = offsetof(struct urt_coro, object);
	o->block_op = offsetof(struct urt_coro, op);
	o->block_cancel_op = offsetof(struct urt_coro, cancel_op);
	o->block_deadline_ns = offsetof(struct urt_coro, deadline_ns);
	o->block_lowest = offsetof(struct urt_coro, stack_lowest);
	o->op_coro = offsetof(struct urt__io, op.coro);
	o->op_what = offsetof(struct urt__io, what);
	o->workers = (uintptr_t)urt__rt.worker;
	o->nr_workers = (uintptr_t)&urt__rt.nr_workers;
	o->worker_current = offsetof(struct urt__worker, current);
	o->worker_tid = offsetof(struct urt__worker, tid);
	o->worker_index = offsetof(struct urt__worker, index);
	o->worker_signal_stack = offsetof(struct urt__worker, signal_stack);
	o->reasons = URT__R_COUNT;
	o->entry = (uintptr_t)urt__ctx_entry;
	for (unsigned i = 0; i < URT__R_COUNT; i++)
		strncpy(o->reason[i], urt__reason_names[i],
			URT__OUTSIDE_REASON_LEN - 1);
	__atomic_store_n(&o->version, URT__OUTSIDE_VERSION, __ATOMIC_RELEASE);
}
