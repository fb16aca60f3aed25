// SPDX-License-Identifier: MIT
/*
 * Waits that are ended from outside: by a cancellation, a deadline, or the
 * close of their descriptor.
 *
 * Cancellation against parking. The parker sets its state and then reads
 * `cancelled`; the canceller sets `cancelled` and then reads the state. One of
 * them must see the other, which needs a full fence on both sides. Parking is
 * frequent and cancelling is rare, so the canceller pays for both, by
 * membarrier(2) (urt__cancel_fence); where that is missing, both fence.
 *
 * A wait for an operation ends only by its completion, since only that shows
 * that the kernel no longer writes to the buffer; other threads can only ask
 * the kernel to cancel the operation. Any other wait is claimed, as by a waker;
 * the second claimer changes nothing.
 *
 * Timers are never deleted. They hold a coroutine and the number of its wait; a
 * timer that fires after that wait has no effect.
 */
#include "../base/sys.h"
#include "sched.h"
#include <errno.h>
#include <linux/membarrier.h>
#undef errno

/* ---- cancellation ------------------------------------------------------ */

static void cancel_answered(struct urt__op *, int32_t res, uint32_t flags);
static void inbox_push(struct urt_coro *);

/* A request whose completion goes to cancel_answered, in the ring of w, which
 * has c's operation and which the calling thread may use. */
static struct io_uring_sqe *cancel_sqe(struct urt__worker *w,
				       struct urt_coro *c)
{
	struct io_uring_sqe *sqe;

	atomic_fetch_add_explicit(&c->cancels, 1, memory_order_relaxed);
	/* The same value each time: another thread may just be reaping the
	 * answer to an earlier request. */
	__atomic_store_n(&c->cancel_op.done, cancel_answered, __ATOMIC_RELAXED);
	sqe = urt__ring_sqe(&w->ring);
	sqe->fd = -1;
	sqe->user_data = (uintptr_t)&c->cancel_op;
	return sqe;
}

static void cancel_ask(struct urt__worker *w, struct urt_coro *c)
{
	struct io_uring_sqe *sqe = cancel_sqe(w, c);

	sqe->opcode = URT__OP_ASYNC_CANCEL;
	sqe->addr = (uintptr_t)c->op;
}

static void cancel_request(struct urt__worker *w, struct urt_coro *c)
{
	if (c->cancel_asked)
		return;
	c->cancel_asked = 1;
	cancel_ask(w, c);
}

/* Asks again after 1, 2, 4 .. 64 ms. The kernel measures the time: the worker
 * may have no processor, and so no timers. */
static void cancel_pause(struct urt__worker *w, struct urt_coro *c)
{
	/* Static, as the kernel reads it when the request is submitted. */
	static const struct __kernel_timespec pause[] = {
		{ 0, 1000000 },	 { 0, 2000000 },  { 0, 4000000 },
		{ 0, 8000000 },	 { 0, 16000000 }, { 0, 32000000 },
		{ 0, 64000000 },
	};
	struct io_uring_sqe *sqe = cancel_sqe(w, c);

	sqe->opcode = URT__OP_TIMEOUT;
	sqe->addr = (uintptr_t)&pause[c->cancel_asked - 1];
	sqe->len = 1;
	if (c->cancel_asked < sizeof(pause) / sizeof(pause[0]))
		c->cancel_asked++;
}

/*
 * Whether the calling thread reaps in place of w while w's thread enters the
 * kernel. That thread submits the queued requests just then, so nothing may be
 * added to the queue. The inbox makes the thread ask when it is back.
 */
static bool is_entering(const struct urt__worker *w)
{
	return urt__serving &&
	       atomic_load_explicit(&w->word.where, memory_order_acquire) !=
		       URT__OUT;
}

/*
 * The kernel does not find an operation that just stops waiting to be tried
 * again, and that may then wait once more: so this asks again at once, as long
 * as the operation has not completed. EALREADY means that the kernel
 * interrupted its own thread that carries the operation out. Mostly the
 * operation then ends, but not if that thread was about to wait for the
 * descriptor by polling, where it forgets the interruption: so this asks again,
 * too, after a pause. The park state and the ring show whether the operation is
 * still in flight: only this thread would reap its completion.
 */
static void cancel_answered(struct urt__op *op, int32_t res, uint32_t flags)
{
	struct urt_coro *c = urt__container_of(op, struct urt_coro, cancel_op);
	struct urt__worker *w = urt__serving ? urt__serving : urt__worker();

	(void)flags;
	/* Release; partner: urt__pool_tidy, which may give the block away. */
	atomic_fetch_sub_explicit(&c->cancels, 1, memory_order_release);
	if (res >= 0 || urt__park_state(atomic_load(&c->park)) != URT__IO ||
	    atomic_load(&c->op_worker) != w || !c->cancel_asked)
		return;
	if (is_entering(w)) {
		c->cancel_asked = 0;
		inbox_push(c);
	} else if (res == -EALREADY) {
		cancel_pause(w, c);
	} else {
		cancel_ask(w, c);
	}
}

/*
 * Claims c's place in an inbox and returns the inbox's worker. NULL: c is in
 * one already, or has ended, and its block was given back (pool.c) and reads as
 * zero. Such a block may be in use again before the claim is undone, and
 * another thread may have relied on the claim: hence the second look.
 */
static struct urt__worker *inbox_claim(struct urt_coro *c)
{
	struct urt__worker *to;

	do {
		if (atomic_exchange(&c->in_inbox, true))
			return NULL;
		to = atomic_load(&c->op_worker);
		if (to)
			return to;
		atomic_store(&c->in_inbox, false);
	} while (atomic_load(&c->op_worker));
	return NULL;
}

static void inbox_push(struct urt_coro *c)
{
	struct urt__worker *to = inbox_claim(c);
	struct urt_coro *head;

	if (!to)
		return;
	head = atomic_load_explicit(&to->inbox, memory_order_relaxed);
	do
		c->inbox_link = head;
	while (!atomic_compare_exchange_weak_explicit(&to->inbox, &head, c,
						      memory_order_acq_rel,
						      memory_order_relaxed));
	if (to != urt__worker())
		urt__ring_kick(&to->ring);
}

/*
 * The request must go to the ring that has the operation, which only the ring's
 * owner may use: other threads put c into the owner's inbox. Only the owner,
 * which reaps the completion, knows whether the operation is still in flight;
 * it does nothing if the coroutine has continued or ended since.
 */
void urt__op_cancel(struct urt_coro *c)
{
	if (atomic_load_explicit(&c->op_worker, memory_order_acquire) ==
	    urt__worker())
		cancel_request(urt__worker(), c);
	else
		inbox_push(c);
}

void urt__op_close(struct urt_coro *c, uint64_t seq)
{
	atomic_store(&c->closed, seq);
	inbox_push(c);
}

/* Whether a close, a cancellation or a deadline wants the wait in `park` to
 * end. */
static bool end_wanted(struct urt_coro *c, uint64_t park)
{
	uint64_t seq = urt__park_seq(park);

	return atomic_load(&c->closed) == seq ||
	       (urt__park_state(park) == URT__IO &&
		(atomic_load(&c->cancelled) ||
		 atomic_load(&c->timed_out) == seq));
}

void urt__inbox_run(struct urt__worker *w)
{
	struct urt_coro *c =
		atomic_exchange_explicit(&w->inbox, NULL, memory_order_acq_rel);

	while (c) {
		struct urt_coro *next = c->inbox_link;
		uint64_t park;

		/* Partner: the exchange in inbox_push. A thread that finds the
		 * flag true there has published its request before, and we read
		 * the requests after this. */
		atomic_exchange(&c->in_inbox, false);
		park = atomic_load(&c->park);
		/* If the coroutine has an operation on another ring by now, the
		 * thread that wanted that operation to end found in_inbox true
		 * and left the request to us. */
		if (end_wanted(c, park)) {
			if (atomic_load(&c->op_worker) != w)
				inbox_push(c);
			else if (urt__park_state(park) == URT__IO && !c->firm)
				cancel_request(w, c);
		}
		c = next;
	}
}

/* Callers rely on the fence, so this tries again when the kernel is out of
 * memory. */
void urt__membarrier(void)
{
	int err;

	while ((err = urt__sys_membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED)))
		URT_BUG_ON(err != -ENOMEM && err != -EAGAIN && err != -EINTR);
}

void urt__cancel_fence(void)
{
	if (urt__shared && urt__rt.membarrier)
		urt__membarrier();
	else
		urt__fence();
}

void urt__wait_end(struct urt_coro *c, uint64_t park, int err)
{
	if (urt__park_state(park) == URT__IO) {
		urt__op_cancel(c);
	} else if ((urt__park_state(park) == URT__WAITING &&
		    urt__claim(c, urt__park_seq(park))) ||
		   (urt__park_state(park) == URT__JOB &&
		    urt__claim_job(c, urt__park_seq(park)))) {
		c->result = err;
		c->woken_by = NULL;
		urt__ready_last(c);
	}
}

/* firm may be read after park: it does not change within a wait, and if another
 * wait has begun since, the claim fails. */
void urt__cancel_marked(struct urt_coro *c)
{
	uint64_t park = atomic_load_explicit(&c->park, memory_order_acquire);

	if (urt__park_state(park) != URT__BUSY && !c->firm)
		urt__wait_end(c, park, urt__cancel_error(c));
}

/* ---- timers ------------------------------------------------------------ */

static uint64_t word_seq(uint64_t park)
{
	return urt__park_seq(park) & ((UINT64_C(1) << URT__SEQ_BITS) - 1);
}

bool urt__timer_live(uint64_t what)
{
	struct urt_coro *c = urt__coro_at(what >> URT__SEQ_BITS);
	uint64_t park = atomic_load_explicit(&c->park, memory_order_relaxed);

	return urt__park_state(park) != URT__BUSY &&
	       urt__timer_word(c, word_seq(park)) == what;
}

void urt__timer_soon(uint64_t what)
{
	__builtin_prefetch(urt__coro_at(what >> URT__SEQ_BITS), 1);
}

void urt__timer_fire(uint64_t what)
{
	struct urt_coro *c = urt__coro_at(what >> URT__SEQ_BITS);
	uint64_t park = atomic_load_explicit(&c->park, memory_order_acquire);

	if (urt__timer_word(c, word_seq(park)) != what)
		return;
	if (urt__park_state(park) == URT__IO)
		atomic_store(&c->timed_out, urt__park_seq(park));
	urt__wait_end(c, park, -ETIME);
}
