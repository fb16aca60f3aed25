// SPDX-License-Identifier: MIT
/*
 * The timers; see timers.h.
 *
 * Programs use few different durations: a second for a read, ten milliseconds
 * for a poll. Timers of one duration are added in the order in which they fall
 * due, so a plain queue keeps them sorted: adding and taking cost a few
 * instructions on one cache line, where a heap of 100,000 costs eight levels of
 * misses (and a wheel rounds, or sorts later). So there are LANES queues; a
 * timer goes to the lane whose last timer is the latest that is not after it,
 * which lets each duration find its own lane, and to a heap with four children
 * per node if there is no such lane. The next timer is the least of the five
 * heads.
 *
 * Nothing is deleted. A wait that ends early, as nearly all do before their
 * deadline, just leaves its timer, which later fires without effect. Lest long
 * deadlines on a busy connection pile up dead timers, these are swept when the
 * number of timers has doubled since the last sweep: constant cost each, and no
 * more than twice the memory of the live ones.
 *
 * Invariants: a lane is sorted; no heap node is due before its parent (i's
 * children are 4i - 2 .. 4i + 1, four in one cache line); len is their sum.
 */
#include "timers.h"
#include "../base/sys.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHILDREN  4
#define AHEAD	  8
#define SWEEP_MIN 1024u

void urt__timers_init(struct urt__timers *t, bool (*live)(uint64_t),
		      void (*fire)(uint64_t), void (*soon)(uint64_t))
{
	*t = (struct urt__timers){
		.live = live, .fire = fire, .soon = soon, .sweep_at = SWEEP_MIN
	};
}

void urt__timers_destroy(struct urt__timers *t)
{
	for (unsigned i = 0; i < URT__LANES; i++)
		free(t->lane[i].ring);
	free(t->heap_memory);
}

/* ---- lanes ------------------------------------------------------------- */

static inline struct urt__timer *lane_at(const struct urt__lane *l, uint32_t i)
{
	return &l->ring[(l->head + i) & (l->room - 1)];
}

static int lane_grow(struct urt__lane *l)
{
	uint32_t room = l->room ? l->room * 2 : 64;
	struct urt__timer *ring = urt__sys_alloc(room * sizeof(*ring));

	if (!ring)
		return -ENOMEM;
	for (uint32_t i = 0; i < l->len; i++)
		ring[i] = *lane_at(l, i);
	free(l->ring);
	l->ring = ring;
	l->head = 0;
	l->room = room;
	return 0;
}

static int lane_push(struct urt__lane *l, struct urt__timer timer)
{
	if (urt__unlikely(l->len == l->room) && lane_grow(l))
		return -ENOMEM;
	*lane_at(l, l->len++) = timer;
	return 0;
}

/* The lane that stays sorted with it, by the smallest gap; NULL: none. */
static struct urt__lane *lane_for(struct urt__timers *t, int64_t when_ns)
{
	struct urt__lane *best = NULL;
	int64_t best_ns = INT64_MIN;

	for (struct urt__lane *l = t->lane; l < t->lane + URT__LANES; l++) {
		int64_t last_ns =
			l->len ? lane_at(l, l->len - 1)->when_ns : INT64_MIN;

		if (last_ns <= when_ns && (!best || last_ns > best_ns)) {
			best = l;
			best_ns = last_ns;
		}
	}
	return best;
}

/* ---- the heap ---------------------------------------------------------- */

static void heap_sift_up(struct urt__timers *t, uint32_t i, struct urt__timer e)
{
	while (i > 1) {
		uint32_t parent = (i + 2) / CHILDREN;

		if (t->heap[parent].when_ns <= e.when_ns)
			break;
		t->heap[i] = t->heap[parent];
		i = parent;
	}
	t->heap[i] = e;
}

static uint32_t earliest_child(const struct urt__timers *t, uint32_t i)
{
	uint32_t first = CHILDREN * i - 2;
	uint32_t end = first + CHILDREN;
	uint32_t best = first;

	if (end > t->heap_len + 1)
		end = t->heap_len + 1;
	for (uint32_t c = first + 1; c < end; c++)
		if (t->heap[c].when_ns < t->heap[best].when_ns)
			best = c;
	return best;
}

static void heap_sift_down(struct urt__timers *t, uint32_t i,
			   struct urt__timer e)
{
	while (CHILDREN * i - 2 <= t->heap_len) {
		uint32_t c = earliest_child(t, i);

		if (t->heap[c].when_ns >= e.when_ns)
			break;
		t->heap[i] = t->heap[c];
		i = c;
	}
	t->heap[i] = e;
}

/* Children start at a cache line: index 2 lies at one. */
static int heap_grow(struct urt__timers *t)
{
	uint32_t room = t->heap_room ? t->heap_room * 2 : 64;
	size_t lead = URT__CACHELINE - 2 * sizeof(struct urt__timer);
	size_t size = lead + (room + 4) * sizeof(struct urt__timer);
	char *memory = urt__sys_alloc_lines(size);

	if (!memory)
		return -ENOMEM;
	if (t->heap_len)
		memcpy(memory + lead, t->heap,
		       (t->heap_len + 1) * sizeof(struct urt__timer));
	free(t->heap_memory);
	t->heap_memory = memory;
	t->heap = (void *)(memory + lead);
	t->heap_room = room;
	return 0;
}

static int heap_push(struct urt__timers *t, struct urt__timer e)
{
	if (t->heap_len == t->heap_room && heap_grow(t))
		return -ENOMEM;
	heap_sift_up(t, ++t->heap_len, e);
	return 0;
}

static void heap_pop(struct urt__timers *t)
{
	struct urt__timer last = t->heap[t->heap_len--];

	if (t->heap_len)
		heap_sift_down(t, 1, last);
}

/* ---- all of them ------------------------------------------------------- */

static URT__COLD void sweep(struct urt__timers *t)
{
	uint32_t kept;

	t->len = 0;
	for (struct urt__lane *l = t->lane; l < t->lane + URT__LANES; l++) {
		kept = 0;
		for (uint32_t i = 0; i < l->len; i++)
			if (t->live(lane_at(l, i)->what))
				*lane_at(l, kept++) = *lane_at(l, i);
		l->len = kept;
		t->len += kept;
	}
	kept = 0;
	for (uint32_t i = 1; i <= t->heap_len; i++)
		if (t->live(t->heap[i].what))
			t->heap[++kept] = t->heap[i];
	t->heap_len = kept;
	for (uint32_t i = (kept + 2) / CHILDREN; i >= 1; i--)
		heap_sift_down(t, i, t->heap[i]);
	t->len += kept;
	t->sweep_at = t->len * 2 > SWEEP_MIN ? t->len * 2 : SWEEP_MIN;
}

int urt__timers_add(struct urt__timers *t, int64_t when_ns, uint64_t what)
{
	struct urt__timer timer = { when_ns, what };
	struct urt__lane *l;
	int err;

	if (urt__unlikely(t->len >= t->sweep_at))
		sweep(t);
	l = lane_for(t, when_ns);
	err = l ? lane_push(l, timer) : heap_push(t, timer);
	if (!err)
		t->len++;
	return err;
}

int64_t urt__timers_next(const struct urt__timers *t)
{
	int64_t next_ns = t->heap_len ? t->heap[1].when_ns : INT64_MAX;

	for (unsigned i = 0; i < URT__LANES; i++) {
		const struct urt__lane *l = &t->lane[i];

		if (l->len && lane_at(l, 0)->when_ns < next_ns)
			next_ns = lane_at(l, 0)->when_ns;
	}
	return next_ns;
}

/* Takes out the earliest of all; of equals, one of a lane. */
static uint64_t take_first(struct urt__timers *t)
{
	struct urt__lane *first = NULL;
	int64_t first_ns = t->heap_len ? t->heap[1].when_ns : INT64_MAX;
	uint64_t what;

	for (struct urt__lane *l = t->lane; l < t->lane + URT__LANES; l++) {
		if (l->len &&
		    (lane_at(l, 0)->when_ns < first_ns ||
		     (!first && lane_at(l, 0)->when_ns == first_ns))) {
			first = l;
			first_ns = lane_at(l, 0)->when_ns;
		}
	}
	t->len--;
	if (!first) {
		what = t->heap[1].what;
		heap_pop(t);
		return what;
	}
	what = lane_at(first, 0)->what;
	if (t->soon && first->len > AHEAD)
		t->soon(lane_at(first, AHEAD)->what);
	first->head = (first->head + 1) & (first->room - 1);
	first->len--;
	return what;
}

static uint64_t first_what(const struct urt__timers *t)
{
	int64_t next_ns = urt__timers_next(t);

	for (unsigned i = 0; i < URT__LANES; i++) {
		const struct urt__lane *l = &t->lane[i];

		if (l->len && lane_at(l, 0)->when_ns == next_ns)
			return lane_at(l, 0)->what;
	}
	return t->heap[1].what;
}

int64_t urt__timers_next_live(struct urt__timers *t)
{
	while (t->len && !t->live(first_what(t)))
		take_first(t);
	return urt__timers_next(t);
}

unsigned urt__timers_run(struct urt__timers *t, int64_t now_ns,
			 int64_t *late_ns)
{
	unsigned fired = 0;
	int64_t when_ns;

	while (t->len && (when_ns = urt__timers_next(t)) <= now_ns) {
		uint64_t what = take_first(t);

		/* Dead ones do not count: no worker wakes for them. */
		if (late_ns && *late_ns < 0 && t->live(what))
			*late_ns = now_ns - when_ns;
		t->fire(what);
		fired++;
	}
	return fired;
}
