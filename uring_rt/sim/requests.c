// SPDX-License-Identifier: MIT
/*
 * Requests in flight. A request is carried out after a delay that the seed chooses. If
 * it would block then, it waits until it is ready, and then for another delay. So
 * completions come in any order. Waiting requests are checked when something has
 * changed; such a look asks for each descriptor once.
 */
#define _GNU_SOURCE
#include "sim.h"
#include "../ring/abi.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define WAITING	      SIM_NEVER /* due only once it is ready */
#define OP_FUTEX_WAIT 51
#define ASKED	      4096

/* How long requests take, ns; one in each line of this table. */
static const struct {
	unsigned odds, ns;
} delays[] = {
	{ 40, 1 }, /* at once, if it can */
	{ 30, 20000 },
	{ 25, 300000 },
	{ 5, 20000000 },
};

struct request {
	struct request *next, **at; /* in the list of all, oldest first */
	struct ring *ring;
	struct io_uring_sqe sqe;
	int64_t due_ns;
	struct sim_sleeper futex;
	bool is_futex;
	bool signalled; /* cancelled while it was carried out */
	int done;	/* bytes so far, if it wants all */
};

static struct request *first, **last = &first, *unused;
static unsigned nr_requests;
static int64_t next_due_ns = SIM_NEVER; /* no request is due before */
static unsigned changes, changes_seen;	/* that requests may wait for */

/* Whether a descriptor is ready, if this look has asked. */
static struct {
	unsigned look;
	bool ready;
} asked[ASKED];
static unsigned look;

static int64_t some_delay(void)
{
	unsigned n = sim_random(SIM_DELAY, 100);

	for (unsigned i = 0;; n -= delays[i++].odds)
		if (n < delays[i].odds)
			return sim_random(SIM_DELAY, delays[i].ns);
}

static void drop(struct request *q)
{
	*q->at = q->next;
	if (q->next)
		q->next->at = q->at;
	else
		last = q->at;
	q->futex.on = NULL;
	q->next = unused;
	unused = q;
	nr_requests--;
}

static void end(struct request *q, int res)
{
	struct ring *r = q->ring;
	uint64_t user_data = q->sqe.user_data;

	if (q->done && res <= 0)
		res = q->done;
	sim_trace("%s on %d: %d", sim_op_name(q->sqe.opcode), q->sqe.fd, res);
	drop(q);
	if (res != -ECANCELED)
		sim_changed();
	sim_complete(r, user_data, res);
}

void sim_changed(void)
{
	changes++;
}

unsigned sim_changes(void)
{
	return changes;
}

static bool is_ready(struct request *q)
{
	unsigned i = ((unsigned)q->sqe.fd * 2 + sim_op_reads(&q->sqe)) % ASKED;

	if (q->is_futex)
		return !q->futex.on;
	if ((unsigned)q->sqe.fd >= ASKED / 2 || sim_op_moves(&q->sqe) ||
	    (q->sqe.opcode == IORING_OP_POLL_ADD &&
	     q->sqe.poll32_events != POLLIN && q->sqe.poll32_events != POLLOUT))
		return sim_op_ready(&q->sqe);
	if (asked[i].look != look) {
		asked[i].look = look;
		asked[i].ready = sim_op_ready(&q->sqe);
	}
	return asked[i].ready;
}

static void set_due(struct request *q, int64_t ns)
{
	q->due_ns = ns;
	if (ns < next_due_ns)
		next_due_ns = ns;
}

static int64_t cut_ns(const struct request *q)
{
	const struct io_uring_sqe *s = &q->sqe;

	if (s->opcode == IORING_OP_CLOSE)
		return 0;
	if (s->opcode == IORING_OP_CONNECT)
		return sim_net_cut_to_ns(s->fd, (void *)(uintptr_t)s->addr,
					 s->off);
	return sim_net_cut_ns(s->fd, sim_op_sends(s));
}

/* -EAGAIN also if a part of the bytes is still missing. */
static int try(struct request *q)
{
	int res;

	if (q->is_futex)
		return q->futex.on ? -EAGAIN : 0;
	res = sim_op_try(&q->sqe);
	if (res <= 0 || !sim_op_wants_all(&q->sqe))
		return res;
	sim_changed();
	q->done += res;
	q->sqe.addr += res;
	q->sqe.len -= res;
	return q->sqe.len ? -EAGAIN : 0;
}

/* Carries out a request that is due; true: it has completed. */
static bool carry_out(struct request *q)
{
	int64_t until_ns = cut_ns(q);
	int res;

	if (until_ns) {
		set_due(q, until_ns);
		return false;
	}
	res = try(q);
	if (res == -EAGAIN && (q->is_futex || sim_op_waits(&q->sqe))) {
		q->due_ns = WAITING;
		if (!q->signalled)
			return false;
		end(q, -EINTR);
		return true;
	}
	end(q, res);
	return true;
}

/* anyway: a request may be ready by an event that was not noticed. */
bool sim_ring_run(bool anyway)
{
	struct request *q = first, *next;
	bool any = false;

	if (!anyway && changes == changes_seen && sim_now_ns < next_due_ns)
		return false;
	changes_seen = changes;
	next_due_ns = SIM_NEVER;
	look++;
	for (; q; q = next) {
		next = q->next;
		if (q->due_ns == WAITING && is_ready(q))
			q->due_ns = sim_now_ns + some_delay();
		if (q->due_ns <= sim_now_ns && carry_out(q)) {
			any = true;
			look++;
		} else if (q->due_ns < next_due_ns) {
			next_due_ns = q->due_ns;
		}
	}
	return any;
}

int64_t sim_ring_next_ns(void)
{
	return next_due_ns;
}

unsigned sim_ring_waiting(void)
{
	return nr_requests;
}

void sim_request_begin(struct ring *r, const struct io_uring_sqe *sqe)
{
	struct request *q = unused;
	int64_t delay_ns = some_delay();

	if (q)
		unused = q->next;
	else
		q = malloc(sizeof(*q));
	memset(q, 0, sizeof(*q));
	q->ring = r;
	memcpy(&q->sqe, sqe, sizeof(*sqe));
	q->at = last;
	*last = q;
	last = &q->next;
	nr_requests++;
	set_due(q, sim_now_ns + delay_ns);
	if (sqe->opcode == OP_FUTEX_WAIT) {
		q->is_futex = true;
		if (*(volatile uint32_t *)(uintptr_t)sqe->addr != sqe->off) {
			end(q, -EAGAIN);
			return;
		}
		sim_sleeper_add(&q->futex, (void *)(uintptr_t)sqe->addr);
		q->due_ns = WAITING;
	}
	if (!delay_ns)
		carry_out(q);
}

/* Cancels one request, or with ANY all of the ring. A request that is being carried
 * out is not cancelled, but will not wait any more. */
int sim_request_cancel(struct ring *r, const struct io_uring_sqe *sqe)
{
	bool all = sqe->cancel_flags & IORING_ASYNC_CANCEL_ANY;
	struct request *q = first, *next;
	int n = 0;

	for (; q; q = next) {
		next = q->next;
		if (q->ring != r || (!all && q->sqe.user_data != sqe->addr))
			continue;
		if (!all && q->due_ns != WAITING && sim_random(SIM_DELAY, 2)) {
			if (sim_random(SIM_DELAY, 2))
				return -ENOENT; /* while it is tried again */
			q->signalled = true;
			return -EALREADY;
		}
		end(q, -ECANCELED);
		n++;
	}
	return n ? (all ? n : 0) : -ENOENT;
}

void sim_requests_drop(const struct ring *r)
{
	struct request *q = first, *next;

	for (; q; q = next) {
		next = q->next;
		if (q->ring == r)
			drop(q);
	}
}
