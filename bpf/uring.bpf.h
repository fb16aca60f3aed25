/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Part of count.bpf.c, included once there: counting io_uring's requests. */
#ifndef URT_URING_BPF_H
#define URT_URING_BPF_H

#include "request.bpf.h"

/*
 * Each request passes one of two tracepoints before it begins: io_uring_submit_req, or
 * io_uring_req_failed if the kernel refuses it, as for an opcode or flags that it does
 * not know. Each completion passes one of two: io_uring_complete, or
 * io_uring_cqe_overflow if the completion queue is full; the kernel then keeps it, and
 * moves it to the queue later without an event. So a request that neither goes on nor
 * asks for no completion counts once on both sides.
 */

/*
 * The thread that entered, or iou-sqp, submits a request; the thread that finishes
 * the request posts its completion. Both are the current thread at their tracepoints.
 */
static __always_inline int current_class(struct urt_task **st)
{
	struct task_struct *t = bpf_get_current_task_btf();
	int class;

	*st = task_find(t);
	if (*st)
		return task_class(t);
	class = io_class(t);
	if (class >= 0 && want_threads)
		*st = io_thread(t, class);
	return class;
}

static __always_inline struct urt_thread *own_counts(struct urt_task *st)
{
	return want_threads && st ? thread_at(st->thread) : 0;
}

static __always_inline u8 opcode_of(void *req)
{
	return BPF_CORE_READ((struct io_kiocb___urt *)req, opcode);
}

/* refused_op: what a refused request asked for, or BEGUN. */
#define BEGUN (-1)

static __always_inline int submitted(void *req, int refused_op)
{
	struct urt_task *st;
	int class = current_class(&st);
	struct urt_counts *c = class < 0 ? 0 : counts_of(class);
	struct urt_thread *th;
	u64 key = (u64)req;
	u8 op;

	if (!c || (by && stopped))
		return 0;
	op = refused_op == BEGUN ? opcode_of(req) : refused_op;
	if (op >= URT_URING_OP_OTHER)
		op = URT_URING_OP_OTHER;
	c->submitted[op]++;
	c->refused += refused_op != BEGUN;
	if (by)
		by_submit(op, BPF_CORE_READ((struct io_kiocb___urt *)req,
					    cqe.user_data));
	th = own_counts(st);
	if (th)
		th->submitted++;
	if (bpf_map_lookup_elem(&requests, &key))
		bpf_map_delete_elem(&requests, &key);
	return 0;
}

SEC("tp_btf/io_uring_submit_req") /* since 6.4 */
int BPF_PROG(on_submit_req, void *req)
{
	return submitted(req, BEGUN);
}

SEC("tp/io_uring/io_uring_submit_req")
int on_submit_req_event(struct trace_event_raw_io_uring_submit_req___urt *e)
{
	return submitted(e->req, BEGUN);
}

SEC("tp_btf/io_uring_submit_sqe") /* its name before 6.4 */
int BPF_PROG(on_submit_sqe, void *req)
{
	return submitted(req, BEGUN);
}

SEC("tp_btf/io_uring_req_failed")
int BPF_PROG(on_refused, struct io_uring_sqe___urt *sqe, void *req)
{
	return submitted(req, BPF_CORE_READ(sqe, opcode));
}

SEC("tp/io_uring/io_uring_req_failed")
int on_refused_event(struct trace_event_raw_io_uring_req_failed___urt *e)
{
	return submitted(e->req, e->opcode);
}

/* A request was not done at once. Each of the two ways counts once per request. */
static __always_inline void deferred(void *req, u32 bit)
{
	struct urt_task *st;
	int class = current_class(&st);
	struct urt_counts *c = class < 0 ? 0 : counts_of(class);
	u64 key = (u64)req;
	u32 *known, ways = 0, op;

	if (!c)
		return;
	op = opcode_of(req);
	if (op >= URT_URING_OP_OTHER)
		return;
	known = bpf_map_lookup_elem(&requests, &key);
	if (known)
		ways = *known;
	if (ways & bit)
		return;
	if (bit == 1)
		c->polled[op]++;
	else
		c->punted[op]++;
	if (!ways)
		c->deferred[op]++;
	ways |= bit;
	if (bpf_map_update_elem(&requests, &key, &ways, BPF_ANY))
		__sync_fetch_and_add(&lost, 1);
}

SEC("tp_btf/io_uring_poll_arm")
int BPF_PROG(on_poll_arm, void *req)
{
	deferred(req, 1);
	return 0;
}

SEC("tp/io_uring/io_uring_poll_arm")
int on_poll_arm_event(struct trace_event_raw_io_uring_poll_arm___urt *e)
{
	deferred(e->req, 1);
	return 0;
}

SEC("tp_btf/io_uring_queue_async_work")
int BPF_PROG(on_punt, void *req)
{
	deferred(req, 2);
	return 0;
}

SEC("tp/io_uring/io_uring_queue_async_work")
int on_punt_event(struct trace_event_raw_io_uring_queue_async_work___urt *e)
{
	deferred(e->req, 2);
	return 0;
}

static __always_inline int completed(void)
{
	struct urt_task *st;
	int class = current_class(&st);
	struct urt_counts *c = class < 0 ? 0 : counts_of(class);
	struct urt_thread *th;

	if (c)
		c->completed++;
	th = c ? own_counts(st) : 0;
	if (th)
		th->completed++;
	return 0;
}

SEC("tp_btf/io_uring_complete")
int BPF_PROG(on_complete)
{
	return completed();
}

SEC("tp/io_uring/io_uring_complete")
int on_complete_event(void *e)
{
	return completed();
}

SEC("tp_btf/io_uring_cqe_overflow")
int BPF_PROG(on_overflow)
{
	return completed();
}

SEC("tp/io_uring/io_uring_cqe_overflow")
int on_overflow_event(void *e)
{
	return completed();
}

#endif
