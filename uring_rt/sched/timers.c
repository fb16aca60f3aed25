// SPDX-License-Identifier: MIT
/*
 * The timer heap; see timers.h.
 *
 * Children of node i are 4i - 2 .. 4i + 1 and its parent is (i + 2) / 4.
 * Invariants: no entry is due before its parent; heap[i].timer->index == i.
 */
#include "timers.h"
#include <errno.h>
#include <stdlib.h>

#define CHILDREN 4

void urt__timers_init(struct urt__timers *t)
{
	*t = (struct urt__timers){ 0 };
}

void urt__timers_destroy(struct urt__timers *t)
{
	free(t->heap);
}

static void put(struct urt__timers *t, uint32_t i, struct urt__timer_entry e)
{
	t->heap[i] = e;
	e.timer->index = i;
}

static void sift_up(struct urt__timers *t, uint32_t i,
		    struct urt__timer_entry e)
{
	while (i > 1) {
		uint32_t parent = (i + 2) / CHILDREN;

		if (t->heap[parent].when_ns <= e.when_ns)
			break;
		put(t, i, t->heap[parent]);
		i = parent;
	}
	put(t, i, e);
}

static uint32_t earliest_child(const struct urt__timers *t, uint32_t i)
{
	uint32_t first = CHILDREN * i - 2;
	uint32_t end = first + CHILDREN;
	uint32_t best = first;

	if (end > t->len + 1)
		end = t->len + 1;
	for (uint32_t c = first + 1; c < end; c++)
		if (t->heap[c].when_ns < t->heap[best].when_ns)
			best = c;
	return best;
}

static void sift_down(struct urt__timers *t, uint32_t i,
		      struct urt__timer_entry e)
{
	while (CHILDREN * i - 2 <= t->len) {
		uint32_t c = earliest_child(t, i);

		if (t->heap[c].when_ns >= e.when_ns)
			break;
		put(t, i, t->heap[c]);
		i = c;
	}
	put(t, i, e);
}

static int grow(struct urt__timers *t)
{
	uint32_t room = t->room ? t->room * 2 : 64;
	void *heap = realloc(t->heap, (room + 1) * sizeof(*t->heap));

	if (!heap)
		return -ENOMEM;
	t->heap = heap;
	t->room = room;
	return 0;
}

int urt__timers_add(struct urt__timers *t, struct urt__timer *timer,
		    int64_t when_ns)
{
	if (urt__unlikely(t->len == t->room) && grow(t))
		return -ENOMEM;
	sift_up(t, ++t->len, (struct urt__timer_entry){ when_ns, timer });
	return 0;
}

static void remove_at(struct urt__timers *t, uint32_t i)
{
	struct urt__timer_entry last = t->heap[t->len--];

	t->heap[i].timer->index = 0;
	if (i > t->len)
		return;
	if (i > 1 && last.when_ns < t->heap[(i + 2) / CHILDREN].when_ns)
		sift_up(t, i, last);
	else
		sift_down(t, i, last);
}

bool urt__timers_del(struct urt__timers *t, struct urt__timer *timer)
{
	if (!timer->index)
		return false;
	remove_at(t, timer->index);
	return true;
}

unsigned urt__timers_run(struct urt__timers *t, int64_t now_ns)
{
	unsigned fired = 0;

	for (; t->len && t->heap[1].when_ns <= now_ns; fired++) {
		struct urt__timer *timer = t->heap[1].timer;

		remove_at(t, 1);
		timer->fire(timer);
	}
	return fired;
}
