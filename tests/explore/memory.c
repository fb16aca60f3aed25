// SPDX-License-Identifier: MIT
/*
 * Values: what a load may return, and which plain accesses race.
 *
 * Each atomic object keeps its last stores. A load may return the newest or an
 * older one, but none older than a store that was made or seen by something
 * that happened before the load (coherence, C11 5.1.2.4). Release and acquire,
 * release sequences (of read-modify-writes, as in C++20) and fences pass on
 * vector clocks. So a missing ordering that would show on aarch64 is found on
 * any machine.
 *
 * seq_cst: the order in which the engine makes steps is the single order S. A
 * seq_cst load returns nothing older than the last seq_cst store, nor than any
 * store that happened before a fence earlier in S. The same holds for a load
 * after a fence (C++20, [atomics.order] 4). Visibility by fences is no
 * happens-before, and orders no plain accesses: hence two clocks, hb and view.
 * S itself is the clock of a thread of its own, X_SC.
 *
 * Two things that C11 allows do not happen here: values out of the future (a
 * load that returns a store which depends on the same thread's later store),
 * and stores that precede older stores of another thread in an object's order.
 * loom and relacy do not show them, either.
 *
 * Races. For each byte, the last write and each thread's last read since then
 * are kept, as times of those threads' own clocks. An access that does not come
 * after them by hb is a race (FastTrack, Flanagan and Freund 2009). Atomic
 * accesses race only with plain ones.
 */
#include "explore_in.h"
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define HISTORY 16
#define OBJECTS 8192
#define SYNCS	512

struct store {
	uint64_t value;
	struct x_clock rel, rel_view; /* for the thread that acquires it */
	struct x_clock seen;	      /* by each thread, when; 0: not yet */
};

struct object {
	uintptr_t addr;
	int size;
	unsigned n; /* stores that are kept; the newest is the last */
	struct x_clock read, wrote; /* last atomic accesses */
	struct x_object order;
	struct store store[HISTORY];
};

struct byte {
	uint32_t gen;
	uint16_t object; /* index + 1 of the object at this byte; 0: none */
	uint8_t writer;
	bool freed;
	uint32_t write, write_pc; /* 0: none in this execution */
	uint32_t read[EXPLORE_THREADS], read_pc[EXPLORE_THREADS];
};

/* An object of the kernel's model: a thread that touches it knows all that was
 * known to the threads that changed it. */
struct sync {
	uintptr_t addr;
	struct x_object order;
	struct x_clock hb, view;
};

static struct object objects[OBJECTS];
static unsigned nr_objects;
static struct sync syncs[SYNCS];
static struct x_object sc_order; /* fences write it, operations read it */
static uint32_t sc_time;
static struct x_clock sc_known; /* all that happened before a fence */

static struct byte *bytes; /* for the arena, then for the globals */

extern char __start_urt_data[], __stop_urt_data[];
extern char __start_urt_bss[], __stop_urt_bss[];

/* ---- shadow ------------------------------------------------------------ */

static size_t shadow_index(uintptr_t addr)
{
	size_t data = __stop_urt_data - __start_urt_data;

	if (addr - (uintptr_t)X_ARENA < X_ARENA_SIZE)
		return addr - (uintptr_t)X_ARENA;
	if (addr >= (uintptr_t)__start_urt_data &&
	    addr < (uintptr_t)__stop_urt_data)
		return X_ARENA_SIZE + addr - (uintptr_t)__start_urt_data;
	if (addr >= (uintptr_t)__start_urt_bss &&
	    addr < (uintptr_t)__stop_urt_bss)
		return X_ARENA_SIZE + data + addr - (uintptr_t)__start_urt_bss;
	return SIZE_MAX;
}

static struct byte *byte_at(uintptr_t addr)
{
	size_t i = shadow_index(addr);

	return i == SIZE_MAX ? NULL : &bytes[i];
}

static inline void refresh(struct byte *b)
{
	if (b->gen != x_gen)
		*b = (struct byte){ .gen = x_gen };
}

void x_memory_begin(void)
{
	if (!bytes)
		bytes = mmap(NULL, (X_ARENA_SIZE + (4 << 20)) * sizeof(*bytes),
			     PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			     0);
	nr_objects = 0;
	memset(syncs, 0, sizeof(syncs));
	sc_time = 0;
	sc_known = (struct x_clock){ 0 };
}

void x_thread_begin(struct x_thread *t)
{
	t->hb.at[x_index(t)] = t->view.at[x_index(t)] = 1;
}

/* Separates the thread's later actions from those so far. */
static void tick(struct x_thread *t)
{
	t->view.at[x_index(t)] = ++t->hb.at[x_index(t)];
}

/* ---- races ------------------------------------------------------------- */

static void race(const char *what, uintptr_t addr, const void *pc,
		 unsigned other, uintptr_t other_pc)
{
	char name[128];

	if (x_deliberate(pc) || (other_pc && x_deliberate((void *)other_pc)))
		return;
	explore_fail("data race at %s: %s, and thread %u's at %s",
		     x_arena_name(addr, name, sizeof(name)), what, other,
		     other_pc ? x_where((void *)other_pc) : "(atomic)");
}

static const char *not_after(const struct x_thread *t,
			     const struct x_clock *past, unsigned *who)
{
	for (unsigned u = 0; u < x_nr_threads; u++)
		if (u != x_index(t) && past->at[u] > t->hb.at[u]) {
			*who = u;
			return "";
		}
	return NULL;
}

static void plain_against_atomic(struct byte *b, uintptr_t addr, bool write,
				 const void *pc)
{
	struct object *o = &objects[b->object - 1];
	unsigned who;

	if (not_after(x_self, &o->wrote, &who) ||
	    (write && not_after(x_self, &o->read, &who)))
		race(write ? "a plain write" : "a plain read", addr, pc, who,
		     0);
	if (write) {
		for (int i = 0; i < o->size; i++)
			byte_at(o->addr)[i].object = 0;
		o->addr = 0;
	}
}

/* Finds a race of a write with a plain read, or of any access with a plain write. */
static void against_plain(struct byte *b, uintptr_t addr, bool write,
			  const char *what, const void *pc)
{
	struct x_thread *t = x_self;

	if (b->freed)
		explore_fail("use of freed memory");
	if (b->write > t->hb.at[b->writer] && b->writer != x_index(t))
		race(what, addr, pc, b->writer, b->write_pc);
	for (unsigned u = 0; write && u < x_nr_threads; u++)
		if (u != x_index(t) && b->read[u] > t->hb.at[u])
			race(what, addr, pc, u, b->read_pc[u]);
}

void x_take_back(void)
{
	struct x_thread *t = x_self;

	if (!t->lost)
		return;
	memcpy(t->lost, t->lost_was, t->lost_size);
	t->lost = NULL;
}

/* Called before a store; if a fault is planted there, the thread's next call takes the
 * store back. */
static void lose(uintptr_t addr, size_t size, const void *pc)
{
	struct x_thread *t = x_self;
	struct x_site *site = x_site(pc);

	if (!site || site->mutation != X_LOSE || size > sizeof(t->lost_was))
		return;
	site->hits++;
	t->lost = (char *)addr;
	t->lost_size = size;
	memcpy(t->lost_was, t->lost, size);
}

void x_plain(uintptr_t addr, size_t size, bool write, const void *pc)
{
	struct byte *b = x_self ? byte_at(addr) : NULL;
	struct x_thread *t = x_self;
	unsigned me;

	if (!b)
		return;
	x_take_back();
	if (write && x_plain_planted)
		lose(addr, size, pc);
	me = x_index(t);
	for (size_t i = 0; i < size; i++) {
		refresh(&b[i]);
		if (b[i].object)
			plain_against_atomic(&b[i], addr + i, write, pc);
		against_plain(&b[i], addr + i, write,
			      write ? "a plain write" : "a plain read", pc);
		if (!write) {
			b[i].read[me] = t->hb.at[me];
			b[i].read_pc[me] = (uintptr_t)pc;
			continue;
		}
		b[i].write = t->hb.at[me];
		b[i].writer = me;
		b[i].write_pc = (uintptr_t)pc;
		memset(b[i].read, 0, sizeof(b[i].read));
	}
}

void x_freed(uintptr_t addr, size_t size, const void *pc)
{
	struct byte *b = x_self ? byte_at(addr) : NULL;

	x_plain(addr, size, true, pc);
	for (size_t i = 0; b && i < size; i++)
		b[i].freed = true;
}

/* ---- objects ----------------------------------------------------------- */

static uint64_t raw_load(uintptr_t addr, int size)
{
	uint64_t v = 0;

	memcpy(&v, (void *)addr, size);
	return v;
}

static void raw_store(uintptr_t addr, int size, uint64_t v)
{
	memcpy((void *)addr, &v, size);
}

static struct object *new_object(uintptr_t addr, int size, struct byte *b)
{
	struct object *o = &objects[nr_objects++];

	if (nr_objects == OBJECTS)
		explore_fail("too many atomic objects");
	memset(o, 0, offsetof(struct object, store[1]));
	o->addr = addr;
	o->size = size;
	o->n = 1;
	o->store[0].value = raw_load(addr, size);
	if (b->write)
		o->store[0].seen.at[b->writer] = b->write;
	for (int i = 0; i < size; i++) {
		refresh(&b[i]);
		b[i].object = nr_objects;
	}
	return o;
}

/* The object that a step of the calling thread touches; checks for races. */
static struct object *object_at(uintptr_t addr, int size, bool write, bool sc,
				const void *pc)
{
	struct byte *b = byte_at(addr);
	struct object *o;

	refresh(b);
	for (int i = 0; i < size; i++) {
		refresh(&b[i]);
		against_plain(&b[i], addr, write,
			      write ? "an atomic write" : "an atomic read", pc);
	}
	o = b->object ? &objects[b->object - 1] : new_object(addr, size, b);
	if (o->addr != addr || o->size != size)
		explore_fail("an atomic access of %d bytes to an object of %d",
			     size, o->size);
	x_touch(&o->order, write);
	if (sc)
		x_touch(&sc_order, false);
	if (write)
		o->wrote.at[x_index(x_self)] = x_self->hb.at[x_index(x_self)];
	else
		o->read.at[x_index(x_self)] = x_self->hb.at[x_index(x_self)];
	return o;
}

static bool acquires(int order)
{
	return order == __ATOMIC_ACQUIRE || order == __ATOMIC_CONSUME ||
	       order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST;
}

static bool releases(int order)
{
	return order == __ATOMIC_RELEASE || order == __ATOMIC_ACQ_REL ||
	       order == __ATOMIC_SEQ_CST;
}

/* The oldest store that a load of the thread may return. */
static unsigned oldest(const struct object *o, bool sc)
{
	struct x_clock known = x_self->view;

	if (sc) {
		x_join(&known, &sc_known);
		known.at[X_SC] = sc_time;
	}
	for (unsigned i = o->n; i-- > 0;)
		for (unsigned u = 0; u < X_CLOCKS; u++)
			if (o->store[i].seen.at[u] &&
			    o->store[i].seen.at[u] <= known.at[u])
				return i;
	return 0;
}

/* Notes that the thread has seen the store; if it acquires, also all that was released
 * with the store. */
static void observe(struct store *s, int order)
{
	struct x_thread *t = x_self;
	unsigned me = x_index(t);

	if (!s->seen.at[me])
		s->seen.at[me] = t->hb.at[me];
	if (order == __ATOMIC_SEQ_CST && !s->seen.at[X_SC])
		s->seen.at[X_SC] = ++sc_time;
	x_join(&t->acq, &s->rel);
	x_join(&t->acq_view, &s->rel_view);
	if (acquires(order)) {
		x_join(&t->hb, &s->rel);
		x_join(&t->view, &s->rel_view);
	}
}

/* Adds a store, which continues the release sequence of `of`, unless that is
 * NULL. */
static void append(struct object *o, uint64_t value, int order,
		   const struct store *of)
{
	struct x_thread *t = x_self;
	struct store s = { .value = value };

	if (of) {
		s.rel = of->rel;
		s.rel_view = of->rel_view;
	}
	x_join(&s.rel, releases(order) ? &t->hb : &t->rel);
	x_join(&s.rel_view, releases(order) ? &t->view : &t->rel_view);
	s.seen.at[x_index(t)] = t->hb.at[x_index(t)];
	if (order == __ATOMIC_SEQ_CST)
		s.seen.at[X_SC] = ++sc_time;
	if (o->n == HISTORY)
		memmove(o->store, o->store + 1, --o->n * sizeof(o->store[0]));
	o->store[o->n++] = s;
	raw_store(o->addr, o->size, value);
	tick(t);
}

/* ---- atomic operations ------------------------------------------------- */

/* The fault that is planted at a call of the instrumentation; counts the call. */
static enum x_mutation mutation_of(const void *pc, int order)
{
	struct x_site *site = x_self ? x_site(pc) : NULL;

	if (!site)
		return X_AS_IS;
	site->hits++;
	site->order = order;
	return site->mutation;
}

uint64_t x_load(uintptr_t addr, int size, int order, const void *pc)
{
	enum x_mutation m = mutation_of(pc, order);
	unsigned lo, back = 0;
	struct x_step *step;
	struct object *o;

	if (m == X_RELAX)
		order = __ATOMIC_RELAXED;
	if (!x_self || !byte_at(addr))
		return raw_load(addr, size);
	if (m == X_DROP)
		return 0;
	step = x_point(X_LOAD, pc, addr);
	o = object_at(addr, size, false, order == __ATOMIC_SEQ_CST, pc);
	lo = oldest(o, order == __ATOMIC_SEQ_CST);
	if (lo + 1 < o->n && !x_self->fresh && x_stale_left()) {
		back = x_choose(o->n - lo);
		if (back)
			x_stale_used();
	}
	x_self->fresh = false;
	observe(&o->store[o->n - 1 - back], order);
	step->order = order;
	step->stale = back;
	step->value = o->store[o->n - 1 - back].value;
	return step->value;
}

static void store(uintptr_t addr, int size, uint64_t value, int order,
		  const void *pc, const char *note)
{
	struct x_step *step = x_point(X_STORE, pc, addr);
	struct object *o =
		object_at(addr, size, true, order == __ATOMIC_SEQ_CST, pc);

	step->order = order;
	step->value = value;
	step->note = note;
	append(o, value, order, NULL);
}

void x_store_now(uintptr_t addr, int size, uint64_t value, int order)
{
	append(object_at(addr, size, true, false, NULL), value, order, NULL);
}

void x_release_held(void)
{
	struct x_thread *t = x_self;

	if (!t || !t->held)
		return;
	t->held = false;
	store(t->held_addr, t->held_size, t->held_value, t->held_order,
	      t->held_pc, "held back");
}

void x_store(uintptr_t addr, int size, uint64_t value, int order,
	     const void *pc)
{
	enum x_mutation m = mutation_of(pc, order);

	if (m == X_RELAX)
		order = __ATOMIC_RELAXED;
	if (!x_self || !byte_at(addr)) {
		raw_store(addr, size, value);
		return;
	}
	if (m == X_DROP)
		return;
	if (m == X_HOLD && !x_self->held) {
		x_self->held = true;
		x_self->held_addr = addr;
		x_self->held_size = size;
		x_self->held_value = value;
		x_self->held_order = order;
		x_self->held_pc = pc;
		return;
	}
	store(addr, size, value, order, pc, NULL);
	x_release_held();
}

uint64_t x_rmw(uintptr_t addr, int size, x_rmw_fn *fn, uint64_t arg, int order,
	       const void *pc)
{
	enum x_mutation m = mutation_of(pc, order);
	struct x_step *step;
	struct object *o;
	struct store last;
	uint64_t mask = size == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * size) - 1;

	if (m == X_RELAX)
		order = __ATOMIC_RELAXED;
	if (!x_self || !byte_at(addr)) {
		uint64_t old = raw_load(addr, size);

		raw_store(addr, size, fn(old, arg) & mask);
		return old;
	}
	if (m == X_DROP || m == X_SPLIT) {
		uint64_t old;

		x_self->fresh = true;
		old = x_load(addr, size, __ATOMIC_ACQUIRE, NULL);
		if (m == X_SPLIT)
			store(addr, size, fn(old, arg) & mask, order, pc,
			      "not atomic");
		return old;
	}
	step = x_point(X_RMW, pc, addr);
	o = object_at(addr, size, true, order == __ATOMIC_SEQ_CST, pc);
	last = o->store[o->n - 1];
	observe(&o->store[o->n - 1], order);
	step->order = order;
	step->old = last.value;
	step->value = fn(last.value, arg) & mask;
	append(o, step->value, order, &last);
	x_release_held();
	return last.value;
}

/* A compare-and-swap fails, having read the store `back` places before the newest. */
static bool cas_failed(struct object *o, unsigned back, uint64_t *expected,
		       int order, struct x_step *step)
{
	struct store *s = &o->store[o->n - 1 - back];

	observe(s, order);
	step->order = order;
	step->kind = X_LOAD;
	step->stale = back;
	step->value = s->value;
	step->note = "compare-and-swap fails";
	*expected = s->value;
	return false;
}

/* How a compare-and-swap ends. 0: as the newest store says; else it fails, having
 * read the store that many places before the newest; -1: a weak one fails with the
 * newest. */
static int cas_outcome(struct object *o, uint64_t expected, bool weak, bool sc)
{
	int back[HISTORY + 1], n = 1;
	unsigned lo = oldest(o, sc), pick;

	if (!x_stale_left() || x_self->fresh)
		return 0;
	back[0] = 0;
	if (weak && o->store[o->n - 1].value == expected)
		back[n++] = -1;
	for (unsigned i = o->n - 1; i-- > lo;)
		if (o->store[i].value != expected)
			back[n++] = o->n - 1 - i;
	pick = x_choose(n);
	if (pick)
		x_stale_used();
	return back[pick];
}

bool x_cas(uintptr_t addr, int size, uint64_t *expected, uint64_t value,
	   int order, int fail_order, bool weak, const void *pc)
{
	enum x_mutation m = mutation_of(pc, order);
	struct x_step *step;
	struct object *o;
	struct store last;
	int back;

	if (m == X_RELAX)
		order = fail_order = __ATOMIC_RELAXED;
	if (!x_self || !byte_at(addr)) {
		uint64_t old = raw_load(addr, size);
		bool same = old == *expected;

		if (same)
			raw_store(addr, size, value);
		*expected = old;
		return same;
	}
	if (m == X_SPLIT) {
		uint64_t old = x_load(addr, size, __ATOMIC_ACQUIRE, NULL);

		if (old == *expected) {
			store(addr, size, value, order, pc, "not atomic");
			return true;
		}
		*expected = old;
		return false;
	}
	step = x_point(X_CAS, pc, addr);
	o = object_at(addr, size, true, order == __ATOMIC_SEQ_CST, pc);
	back = cas_outcome(o, *expected, weak, fail_order == __ATOMIC_SEQ_CST);
	x_self->fresh = false;
	last = o->store[o->n - 1];
	if (back || last.value != *expected)
		return cas_failed(o, back > 0 ? back : 0, expected, fail_order,
				  step);
	observe(&o->store[o->n - 1], order);
	step->order = order;
	step->old = last.value;
	step->value = value;
	append(o, value, order, &last);
	x_release_held();
	return true;
}

/* ---- fences ------------------------------------------------------------ */

static void sc_fence(struct x_thread *t)
{
	x_join(&t->hb, &t->acq);
	x_join(&t->view, &t->acq_view);
	x_join(&t->view, &sc_known);
	t->view.at[X_SC] = sc_time;
	x_join(&sc_known, &t->hb);
	t->rel = t->hb;
	t->rel_view = t->view;
	tick(t);
}

void x_fence(int order, const void *pc)
{
	enum x_mutation m = mutation_of(pc, order);
	struct x_thread *t = x_self;

	if (!t || m == X_DROP)
		return;
	if (order == __ATOMIC_SEQ_CST && m != X_RELAX) {
		x_point(X_FENCE, pc, 0)->order = order;
		x_touch(&sc_order, true);
		sc_fence(t);
		return;
	}
	if (acquires(order)) {
		x_join(&t->hb, &t->acq);
		x_join(&t->view, &t->acq_view);
	}
	if (releases(order)) {
		t->rel = t->hb;
		t->rel_view = t->view;
	}
}

/* A fence in every thread, in each at a moment of its own between the call and
 * its return. */
void x_membarrier(const void *pc)
{
	unsigned me = x_index(x_self);

	for (unsigned i = 0; i <= x_nr_threads; i++) {
		unsigned u = (me + i) % x_nr_threads; /* me first and last */

		x_point(X_MEMBARRIER, pc, 0)->value = u;
		x_touch(&sc_order, true);
		sc_fence(&x_threads[u]);
	}
}

/* ---- the kernel's objects ---------------------------------------------- */

void x_sync(uintptr_t addr, bool write)
{
	struct x_thread *t = x_self;
	struct sync *s;
	unsigned i = addr / 8 % SYNCS;

	if (!t)
		return;
	while (syncs[i].addr && syncs[i].addr != addr)
		i = (i + 1) % SYNCS;
	s = &syncs[i];
	s->addr = addr;
	x_touch(&s->order, write);
	x_join(&t->hb, &s->hb);
	x_join(&t->view, &s->view);
	if (write) {
		x_join(&s->hb, &t->hb);
		x_join(&s->view, &t->view);
		tick(t);
	}
}
