// SPDX-License-Identifier: MIT
/* Ends of coroutines: join, scopes, cancellation (sched.c, wait.c, scope.c). */
#include "../../uring_rt/sched/context.h"
#include "world.h"
#include <errno.h>
#include <string.h>
#undef errno

static struct urt_coro *child, *joiner;
static int plain, joined, cancelled, members;

static void ends(void *arg)
{
	(void)arg;
	plain = 1;
	world_done(2);
}

static void joins(void *arg)
{
	int err = urt_join(child);

	(void)arg;
	CHECK(!err || err == -ECANCELED);
	if (!err) {
		CHECK(plain == 1);
		joined++;
	} else {
		cancelled++;
	}
	world_done(2);
}

static void join_against_end(void)
{
	world(2, 0);
	child = world_coro(0, ends, NULL);
	world_coro(1, joins, NULL);
}

static void it_was_joined(void)
{
	CHECK(joined == 1);
}

SCENARIO(join_against_end,
	 "Who joins a coroutine that just ends goes on, and sees what it did.",
	 .setup = join_against_end,
	 .thread = { world_worker_0, world_worker_1 }, .check = it_was_joined);

static void cancels_joiner(void *arg)
{
	(void)arg;
	urt_cancel(joiner);
	plain = 1;
	world_done(2);
}

static void join_given_up(void)
{
	world(2, 0);
	child = world_coro(0, cancels_joiner, NULL);
	joiner = world_coro(1, joins, NULL);
}

static void one_of_both(void)
{
	CHECK(joined + cancelled == 1);
	CHECK(joined || child->joiner == URT__DONE); /* can still be joined */
}

SCENARIO(join_given_up,
	 "A joiner that is cancelled while its child ends goes on once.",
	 .setup = join_given_up, .thread = { world_worker_0, world_worker_1 },
	 .check = one_of_both);

/* ---- scopes ------------------------------------------------------------ */

static struct urt_scope *scope;

static int member(void *arg)
{
	(void)arg;
	__atomic_fetch_add(&members, 1, __ATOMIC_RELAXED);
	return 0;
}

static _Atomic bool is_open, has_started;

static void waits_for(_Atomic bool *flag)
{
	while (!atomic_load(flag)) {
		urt_yield();
		explore_relax();
	}
}

static void opens(void *arg)
{
	static struct urt_scope s;

	(void)arg;
	CHECK(!urt_scope_open(&s, URT_NEVER));
	scope = &s;
	atomic_store(&is_open, true);
	waits_for(&has_started);
	CHECK(!urt_scope_close(&s));
	memset(&s, 0xff, sizeof(s)); /* its memory is reused */
	CHECK(__atomic_load_n(&members, __ATOMIC_RELAXED) == 1);
	world_done(2);
}

static void starts_a_member(void *arg)
{
	(void)arg;
	waits_for(&is_open);
	CHECK(!urt_scope_go(scope, member, NULL));
	atomic_store(&has_started, true);
	world_done(2);
}

static void scope_of_two(void)
{
	world(2, 0);
	world_coro(0, opens, NULL);
	world_coro(1, starts_a_member, NULL);
}

SCENARIO(scope_close_against_end,
	 "Close waits for all members, and not for ever.",
	 .setup = scope_of_two, .thread = { world_worker_0, world_worker_1 },
	 .stale = 1);

static int sleeps_for_ever(void *arg)
{
	int err = urt_sleep_until(URT_NEVER);

	(void)arg;
	CHECK(err == -ECANCELED);
	__atomic_fetch_add(&members, 1, __ATOMIC_RELAXED);
	return 0;
}

static void opens_and_closes(void *arg)
{
	struct urt_scope s;
	int err;

	(void)arg;
	CHECK(!urt_scope_open(&s, URT_NEVER));
	scope = &s;
	atomic_store(&is_open, true);
	err = urt_scope_go(&s, sleeps_for_ever, NULL);
	CHECK(!err || err == -ECANCELED);
	urt_scope_close(&s);
	CHECK(__atomic_load_n(&members, __ATOMIC_RELAXED) == !err);
	/* Wait for the canceller, which uses the scope. */
	while (atomic_load(&is_open)) {
		urt_yield();
		explore_relax();
	}
	world_done(2);
}

static void cancels_scope(void *arg)
{
	(void)arg;
	while (!atomic_load(&is_open)) {
		urt_yield();
		explore_relax();
	}
	urt_scope_cancel(scope);
	atomic_store(&is_open, false);
	world_done(2);
}

static void scope_is_cancelled(void)
{
	world(2, 0);
	world_coro(0, opens_and_closes, NULL);
	world_coro(1, cancels_scope, NULL);
}

SCENARIO(scope_cancel_against_go,
	 "A member that is started while its scope is cancelled ends, too.",
	 .setup = scope_is_cancelled,
	 .thread = { world_worker_0, world_worker_1 }, .stale = 1);

/* ---- contexts that coroutines share ------------------------------------ */

static struct urt_context first = { .trace_id = { 1 } },
			  next = { .trace_id = { 2 } };

static void reads_context(void *arg)
{
	struct urt_context ctx;

	(void)arg;
	CHECK(urt_context_get(&ctx));
	CHECK(ctx.trace_id[0] == 1);
	world_done(2);
}

/* Changes the context in place, if this coroutine is the only owner by then. */
static void changes_context(void *arg)
{
	struct urt_context ctx;

	(void)arg;
	CHECK(!urt_context_set(&next));
	CHECK(urt_context_get(&ctx) && ctx.trace_id[0] == 2);
	world_done(2);
}

static void one_context(void)
{
	struct urt_coro *a, *b;

	world(2, 0);
	urt__rt.contexts = true; /* announced */
	a = world_coro(0, reads_context, NULL);
	b = world_coro(1, changes_context, NULL);
	urt__tls_worker = urt__rt.worker[0];
	urt__tls_worker->current = a;
	CHECK(!urt_context_set(&first));
	urt__tls_worker->current = NULL;
	urt__tls_worker->word.where = URT__IN;
	urt__tls_worker = NULL;
	urt__context_inherit(b, a);
}

SCENARIO(
	context_of_two,
	"A context that two coroutines have is changed in place, and freed, by "
	"the last of them only.",
	.setup = one_context, .thread = { world_worker_0, world_worker_1 });
