// SPDX-License-Identifier: MIT
/*
 * Control blocks of coroutines: their numbers, and how a spawn takes one and an
 * end gives it back. A processor takes blocks from its own magazines first,
 * then from the shared pool (pool.c); a new block lies at the top of a new
 * stack.
 */
#include "../base/outside.h"
#include "sched.h"

#define TRIM_EVERY 64u /* a deep call may have gone unseen */
/* The low bits of urt_coro.number; above them the size class. */
#define INDEX_BITS URT__OUTSIDE_CLASS
#define CROWD	   64 /* coroutines, whose frames leave the L1 cache in turn */

/* Of its stack, in the class. */
static unsigned index_of(uint32_t number)
{
	return number & ((1u << INDEX_BITS) - 1);
}

unsigned urt__coro_class(const struct urt_coro *c)
{
	return c->number >> INDEX_BITS;
}

struct urt_coro *urt__coro_at(uint32_t number)
{
	return (struct urt_coro *)urt__stack_top(
		       &urt__rt.stacks[number >> INDEX_BITS],
		       index_of(number)) -
	       1;
}

void urt__coro_each(void (*fn)(struct urt_coro *, void *), void *arg)
{
	for (uint32_t class = 0; class < URT__CLASSES; class ++) {
		struct urt__stacks *s = &urt__rt.stacks[class];
		size_t used =
			s->base ? __atomic_load_n(&s->used, __ATOMIC_ACQUIRE)
				: 0;

		for (uint32_t i = 0; i < used; i++)
			fn(urt__coro_at(class << INDEX_BITS | i), arg);
	}
}

/* With pool_lock held. */
static bool class_reserve(unsigned class)
{
	struct urt__stacks *s = &urt__rt.stacks[class];
	size_t max = urt__rt.max_coroutines;

	return s->base ||
	       !urt__stacks_init(s, urt__rt.stack_size[class], max,
				 urt__rt.features & URT__F_GUARD_INSTALL);
}

static struct urt_coro *coro_new(unsigned class)
{
	struct urt__stacks *s = &urt__rt.stacks[class];
	struct urt_coro *c;
	void *top, *lowest;

	top = urt__stack_get(s, &lowest);
	if (!top)
		return NULL;
	c = (struct urt_coro *)top - 1;
	c->stack_lowest = lowest;
	c->deep_below = (char *)c - URT__STACK_KEEP;
	if (c->deep_below < lowest)
		c->deep_below = lowest;
	c->number = class << INDEX_BITS | urt__stack_index(s, top);
	/* Acquire; partner: urt__pool_tidy. */
	atomic_store_explicit(
		&c->park,
		atomic_load_explicit(&urt__rt.seq_floor, memory_order_acquire)
			<< 2,
		memory_order_relaxed);
	return c;
}

static URT__NOINLINE struct urt_coro *coro_get_slow(struct urt__proc *p,
						    unsigned class)
{
	struct urt_coro *c;
	bool reserved;

	urt__lock(&urt__rt.pool_lock);
	c = urt__pool_take(class);
	reserved = class_reserve(class);
	urt__unlock(&urt__rt.pool_lock);
	if (c && !class) {
		p->free = c->link;
		p->nr_free = URT__MAGAZINE - 1;
	}
	if (c || !reserved)
		return c;
	c = coro_new(class);
	if (c && index_of(c->number) >= CROWD)
		p->crowd = true;
	return c;
}

static struct urt_coro *coro_get(struct urt__proc *p, unsigned class)
{
	struct urt_coro *c;

	if (urt__unlikely(class))
		return coro_get_slow(p, class);
	if (urt__unlikely(!p->free)) {
		if (!p->full)
			return coro_get_slow(p, 0);
		p->free = p->full;
		p->full = NULL;
		p->nr_free = URT__MAGAZINE;
	}
	c = p->free;
	p->free = c->link;
	p->nr_free--;
	return c;
}

static inline void put_free(struct urt__proc *p, struct urt_coro *c)
{
	c->link = p->free;
	p->free = c;
	p->nr_free++;
}

/* A function of its own, so that its caller saves no registers. */
static URT__NOINLINE void coro_free_slow(struct urt__worker *w,
					 struct urt_coro *c, bool trim)
{
	struct urt__proc *p = w->proc;
	unsigned class = c->number >> INDEX_BITS;

	if (trim) {
		/* Random, since programs have periods of their own. */
		p->trim_in = urt__random(w) % (2 * TRIM_EVERY);
		urt__stack_trim(&urt__rt.stacks[class], c + 1);
	}
	if (class) {
		urt__pool_put(class, c);
		return;
	}
	if (p->nr_free == URT__MAGAZINE) {
		if (p->full)
			urt__pool_put(0, p->full);
		p->full = p->free;
		p->free = NULL;
		p->nr_free = 0;
	}
	put_free(p, c);
}

void urt__coro_free(struct urt__worker *w, struct urt_coro *c)
{
	struct urt__proc *p = w->proc;
	bool trim = c->deep || !p->trim_in--;

	urt__set_reason(c, URT__R_FREE);
	urt__san_destroy(&c->san);
	if (urt__unlikely(trim || c->number >> INDEX_BITS ||
			  p->nr_free == URT__MAGAZINE))
		coro_free_slow(w, c, trim);
	else
		put_free(p, c);
}

/* The smallest class that holds size bytes; URT__CLASSES: none. */
static unsigned class_of(size_t size)
{
	unsigned class = 1;

	if (!size || size == urt__rt.stack_size[0])
		return 0;
	while (class < URT__CLASSES && urt__rt.stack_size[class] < size)
		class ++;
	return class;
}

struct urt_coro *urt__coro_get(struct urt__proc *p, size_t stack_size)
{
	unsigned class = class_of(stack_size);

	return urt__likely(class < URT__CLASSES) ? coro_get(p, class) : NULL;
}
