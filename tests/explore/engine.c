// SPDX-License-Identifier: MIT
/*
 * Orders: which thread makes the next step.
 *
 * The threads of a scenario are contexts of one thread. Each stops before every step
 * that others can see (an atomic operation, a fence, a call of the kernel), and the
 * engine chooses the thread that continues. Plain accesses are no steps: memory.c checks
 * that no two of them race, and then their order makes no difference.
 *
 * Only orders that can make a difference are tried (dynamic partial-order
 * reduction, Flanagan and Godefroid 2005). When two threads' steps touch the
 * same object, one of them writes it, and nothing else orders the two, the
 * other order is noted as an alternative at the choice before the earlier step.
 * Vector clocks keep the order of steps (x_thread.dpor).
 *
 * Leaving a thread that could continue is a preemption, and an execution has at
 * most `bound` of them. The choice before a race may have none left, although
 * an earlier switch leads to the same order. So the alternative is also noted
 * at the beginning of the earlier step's run of steps (Coons, Musuvathi and
 * McKinley 2013; as in loom). Sleep sets would be wrong with a bound, and are
 * not used.
 *
 * A thread that waits for a spin lock can continue when the lock is free. A thread that
 * spins says so (urt__cpu_relax, sched_yield): it is chosen again when another one has
 * made a step, or no other can. The same holds for a thread that has made FAIR steps in
 * a row, since it may be waiting in a loop that does not say so.
 */
#include "explore_in.h"
#include "../../uring_rt/exec/context.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STACK_SIZE (256u * 1024)
#define FAIR	   400

struct x_thread *x_self;
struct x_thread x_threads[EXPLORE_THREADS];
unsigned x_nr_threads;
uint32_t x_gen;
int64_t x_now_ns;
unsigned x_bound, x_stale;

static struct x_step steps[X_STEPS];
static unsigned nr_steps;
static unsigned preempts, stale; /* in this execution */
static unsigned in_a_row;	 /* steps of one thread */
static int32_t chosen_at;	 /* the choice of the next step's thread */
static struct explore_scenario scenario;
static struct urt__ctx main_ctx;
static char failure[512];

/* The thread-local variables that a switch between contexts must carry over. */
extern __thread struct urt__worker *urt__tls_worker
	__attribute__((visibility("hidden")));
extern __thread struct urt__worker *urt__serving
	__attribute__((visibility("hidden")));

/* ---- contexts ---------------------------------------------------------- */

static void switch_to(struct x_thread *to)
{
	struct x_thread *from = x_self;

	if (from == to)
		return;
	from->tls_worker = urt__tls_worker;
	from->tls_serving = urt__serving;
	urt__tls_worker = to->tls_worker;
	urt__serving = to->tls_serving;
	x_self = to;
	urt__ctx_swap(&from->ctx, &to->ctx);
}

/* Ends the execution: returns to the search. */
static _Noreturn void leave(void)
{
	static struct urt__ctx nowhere;

	x_self = NULL;
	urt__tls_worker = urt__serving = NULL;
	urt__ctx_swap(&nowhere, &main_ctx);
	__builtin_unreachable();
}

_Noreturn void explore_fail(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(failure, sizeof(failure), format, ap);
	va_end(ap);
	if (x_options.trap)
		__builtin_trap();
	if (main_ctx.sp)
		leave();
	fprintf(stderr, "explore: %s\n", failure);
	exit(1);
}

_Noreturn void explore_end(void)
{
	leave();
}

static bool enabled(struct x_thread *t)
{
	if (t->state != X_DONE && x_has_signal(x_index(t)))
		return true;
	if (t->state == X_BLOCKED)
		return t->timed_out || t->may_go(t->may_go_arg);
	return t->state == X_READY && (!t->lock || !*t->lock);
}

static unsigned enabled_set(void)
{
	unsigned set = 0;

	for (unsigned i = 0; i < x_nr_threads; i++)
		if (enabled(&x_threads[i]))
			set |= 1u << i;
	return set;
}

/* No thread can continue: moves the clock to the next deadline, which several threads
 * may have. */
static bool pass_time(void)
{
	int64_t next_ns = INT64_MAX;

	for (unsigned i = 0; i < x_nr_threads; i++)
		if (x_threads[i].state == X_BLOCKED &&
		    x_threads[i].until_ns < next_ns)
			next_ns = x_threads[i].until_ns;
	if (next_ns == INT64_MAX)
		return false;
	if (x_now_ns < next_ns)
		x_now_ns = next_ns;
	for (unsigned i = 0; i < x_nr_threads; i++)
		if (x_threads[i].state == X_BLOCKED &&
		    x_threads[i].until_ns <= x_now_ns)
			x_threads[i].timed_out = true;
	return true;
}

static _Noreturn void no_one(void)
{
	char who[256] = "";
	size_t len = 0;

	for (unsigned i = 0; i < x_nr_threads; i++)
		if (x_threads[i].state != X_DONE)
			len += snprintf(who + len, sizeof(who) - len, " %u", i);
	if (len && !scenario.may_block)
		explore_fail("no thread can go on; blocked for ever:%s", who);
	leave();
}

/* Those threads of the set that do not wait for others to continue. If there
 * are none, 0, and no thread waits so any more. */
static unsigned eager_set(unsigned set)
{
	unsigned eager = set;

	for (unsigned i = 0; i < x_nr_threads; i++)
		if (x_threads[i].relaxed)
			eager &= ~(1u << i);
	if (eager)
		return eager;
	for (unsigned i = 0; i < x_nr_threads; i++)
		x_threads[i].relaxed = false;
	return 0;
}

static struct x_thread *next_thread(unsigned from)
{
	unsigned set, eager;
	struct x_branch *b;
	bool goes_on;

	while (!(set = enabled_set()))
		if (!pass_time())
			no_one();
	chosen_at = -1;
	eager = eager_set(set);
	if (!eager) /* all spin, and take turns */
		return &x_threads[x_first_of(set, (from + 1) % x_nr_threads)];
	goes_on = eager & 1u << from;
	if (!(eager & (eager - 1)) || (goes_on && preempts >= x_bound))
		return &x_threads[goes_on ? from : x_first_of(eager, 0)];
	b = x_choose_thread(eager, from, goes_on);
	chosen_at = x_branch_number(b);
	preempts += goes_on && b->chosen != from;
	return &x_threads[b->chosen];
}

/* ---- steps ------------------------------------------------------------- */

static struct x_step *step(enum x_kind kind, const void *pc, uintptr_t addr)
{
	struct x_thread *t = x_self;
	struct x_step *s = &steps[nr_steps++];

	if (nr_steps == X_STEPS)
		explore_fail("no end after %u steps", nr_steps);
	in_a_row =
		nr_steps > 1 && s[-1].thread == x_index(t) ? in_a_row + 1 : 0;
	if (in_a_row >= FAIR)
		t->relaxed = true;
	for (unsigned i = 0; i < x_nr_threads; i++)
		if (i != x_index(t))
			x_threads[i].relaxed = false;
	*s = (struct x_step){ .thread = x_index(t),
			      .kind = kind,
			      .branch = chosen_at,
			      .nth = ++t->dpor.at[x_index(t)],
			      .pc = pc,
			      .addr = addr };
	return s;
}

/* A send writes the target's object and each step of the target reads it, so both
 * orders are tried. */
static struct x_object signals[EXPLORE_THREADS];

void x_touch_signal(unsigned thread)
{
	x_touch(&signals[thread], true);
}

static void take_signal(struct x_thread *t)
{
	struct x_thread was = *t;

	t->state = X_READY;
	t->lock = NULL;
	x_take_signal();
	t->state = was.state;
	t->may_go = was.may_go;
	t->may_go_arg = was.may_go_arg;
	t->until_ns = was.until_ns;
	t->timed_out = was.timed_out;
	t->lock = was.lock;
}

struct x_step *x_point(enum x_kind kind, const void *pc, uintptr_t addr)
{
	struct x_thread *t = x_self;
	struct x_step *s;

	x_take_back();
	switch_to(next_thread(x_index(t)));
	while (x_has_signal(x_index(t))) {
		take_signal(t);
		switch_to(next_thread(x_index(t)));
	}
	t->lock = NULL;
	s = step(kind, pc, addr);
	if (x_may_signal())
		x_touch(&signals[x_index(t)], false);
	return s;
}

bool x_block(const void *pc, uintptr_t addr, bool (*may_go)(void *), void *arg,
	     int64_t until_ns, const char *what)
{
	struct x_thread *t = x_self;

	t->state = X_BLOCKED;
	t->may_go = may_go;
	t->may_go_arg = arg;
	t->until_ns = until_ns;
	t->timed_out = false;
	x_point(X_CALL, pc, addr)->note = what;
	t->state = X_READY;
	return !t->timed_out;
}

bool x_stale_left(void)
{
	return stale < x_stale;
}

void x_stale_used(void)
{
	stale++;
}

void explore_relax(void)
{
	if (!x_self)
		return;
	x_self->relaxed = true;
	x_self->fresh = true;
}

void explore_lock_waits(const uint32_t *lock)
{
	if (!x_self)
		return;
	x_self->lock = lock;
	x_self->fresh = true;
}

unsigned explore_self(void)
{
	return x_index(x_self);
}

/* ---- partial-order reduction ------------------------------------------- */

/* Notes that thread t must also be tried before steps[earlier]. */
static void try_before(unsigned earlier, unsigned t)
{
	const struct x_step *s = &steps[earlier];
	int32_t branch = s->branch, first = s->branch;

	if (branch >= 0)
		x_note(branch, t);
	/* At the beginning of this run of steps, a switch is no preemption. */
	for (unsigned i = earlier; i > 0 && steps[i - 1].thread == s->thread;)
		if (steps[--i].branch >= 0)
			first = steps[i].branch;
	if (first >= 0 && first != branch)
		x_note(first, t);
}

static void race(uint32_t number, const struct x_thread *t)
{
	const struct x_step *s = &steps[number - 1];

	if (number && s->thread != x_index(t) && t->dpor.at[s->thread] < s->nth)
		try_before(number - 1, x_index(t));
}

void x_touch(struct x_object *o, bool write)
{
	struct x_thread *t = x_self;
	unsigned me = x_index(t);

	if (o->gen != x_gen)
		*o = (struct x_object){ .gen = x_gen };
	race(o->wstep, t);
	for (unsigned i = 0; write && i < x_nr_threads; i++)
		race(o->rstep[i], t);
	x_join(&t->dpor, &o->wclock);
	if (!write) {
		o->rstep[me] = nr_steps;
		x_join(&o->rclock, &t->dpor);
		return;
	}
	x_join(&t->dpor, &o->rclock);
	o->wstep = nr_steps;
	o->wclock = t->dpor;
	memset(o->rstep, 0, sizeof(o->rstep));
	o->rclock = (struct x_clock){ 0 };
}

/* ---- an execution ------------------------------------------------------ */

static void thread_main(void *arg)
{
	struct x_thread *t = arg;

	step(X_START, NULL, 0);
	scenario.thread[x_index(t)]();
	x_point(X_END, NULL, 0);
	x_release_held();
	t->state = X_DONE;
	switch_to(next_thread(x_index(t)));
	__builtin_unreachable();
}

static void threads_begin(void)
{
	for (unsigned i = 0; i < x_nr_threads; i++) {
		struct x_thread *t = &x_threads[i];
		char *stack = t->stack;

		*t = (struct x_thread){ .stack = stack, .until_ns = INT64_MAX };
		urt__ctx_init(&t->ctx, stack + STACK_SIZE, thread_main, t);
		x_thread_begin(t);
	}
}

static void check_main(void *arg)
{
	(void)arg;
	scenario.check();
	leave();
}

/* Runs on a stack of its own, because a failing check leaves. */
static void check(void)
{
	static struct urt__ctx ctx;

	urt__ctx_init(&ctx, x_threads[0].stack + STACK_SIZE, check_main, NULL);
	urt__ctx_swap(&main_ctx, &ctx);
}

bool x_execute(char *message, size_t size, uint64_t *total_steps)
{
	x_arena_restore();
	x_gen++;
	nr_steps = preempts = stale = in_a_row = 0;
	x_now_ns = 1000000000;
	failure[0] = '\0';
	x_kernel_begin();
	threads_begin();
	x_memory_begin();
	x_self = next_thread(x_nr_threads - 1);
	urt__tls_worker = x_self->tls_worker;
	urt__ctx_swap(&main_ctx, &x_self->ctx);
	*total_steps += nr_steps;
	if (!failure[0] && scenario.check)
		check();
	snprintf(message, size, "%s", failure);
	return !failure[0];
}

void x_scenario_begin(const struct explore_scenario *s)
{
	scenario = *s;
	x_arena_open();
	for (x_nr_threads = 0;
	     x_nr_threads < EXPLORE_THREADS && scenario.thread[x_nr_threads];)
		x_threads[x_nr_threads++].stack =
			x_arena_stacks(STACK_SIZE, STACK_SIZE, 0);
	main_ctx.sp = NULL;
	if (scenario.setup)
		scenario.setup();
	x_arena_keep();
}

unsigned x_threads_of(void (*body)(void))
{
	unsigned n = 0;

	for (unsigned i = 0; i < x_nr_threads; i++)
		n += scenario.thread[i] == body;
	return n;
}

void x_trace(const char *message, const char *replay)
{
	x_report(scenario.name, message, steps, nr_steps, replay);
}
