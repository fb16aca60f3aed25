// SPDX-License-Identifier: MIT
/* Locks of sync/: two workers, a coroutine or two on each. */
#include "../../uring_rt/sync/waiter.h"
#include "world.h"
#include <errno.h>
#undef errno

static int plain; /* protected by the locks */

static void two(urt_fn *a, urt_fn *b)
{
	world(2, 0);
	world_coro(0, a, NULL);
	world_coro(1, b, NULL);
}

/* ---- mutex ------------------------------------------------------------- */

static struct urt_mutex mutex;

static void locks(void *arg)
{
	(void)arg;
	for (int i = 0; i < 2; i++) {
		CHECK(!urt_mutex_lock(&mutex, URT_NEVER));
		plain++;
		urt_mutex_unlock(&mutex);
	}
	world_done(2);
}

static void mutex_of_two(void)
{
	two(locks, locks);
	explore_name(&mutex, sizeof(mutex), "mutex");
}

static void plain_is_4(void)
{
	CHECK(plain == 4);
	CHECK(!mutex.state && !mutex.waiters.head);
}

SCENARIO(mutex_of_two, "A mutex keeps others out, and no waiter is forgotten.",
	 .setup = mutex_of_two, .thread = { world_worker_0, world_worker_1 },
	 .check = plain_is_4);

static void locks_and_sleeps(void *arg)
{
	(void)arg;
	CHECK(!urt_mutex_lock(&mutex, URT_NEVER));
	urt_sleep(100000);
	plain++;
	urt_mutex_unlock(&mutex);
	world_done(3);
}

static void locks_soon(void *arg)
{
	(void)arg;
	CHECK(!urt_mutex_lock(&mutex, URT_NEVER));
	plain++;
	urt_mutex_unlock(&mutex);
	world_done(3);
}

static void mutex_hand_over(void)
{
	world(2, 0);
	explore_name(&mutex, sizeof(mutex), "mutex");
	world_coro(0, locks_and_sleeps, NULL);
	world_coro(1, locks_soon, NULL);
	world_coro(1, locks_soon, NULL);
}

static void plain_is_3(void)
{
	CHECK(plain == 3);
	CHECK(!mutex.state && !mutex.waiters.head);
}

SCENARIO(mutex_hand_over,
	 "Who parks on a mutex gets it when its holder, who slept, is done.",
	 .setup = mutex_hand_over, .thread = { world_worker_0, world_worker_1 },
	 .check = plain_is_3, .stale = 1);

static struct urt_coro *victim;

static void locks_once(void *arg)
{
	int ret = urt_mutex_lock(&mutex, URT_NEVER);

	(void)arg;
	CHECK(!ret || ret == -ECANCELED);
	if (!ret) {
		plain++;
		urt_mutex_unlock(&mutex);
	}
	world_done(3);
}

static void locks_and_cancels(void *arg)
{
	(void)arg;
	CHECK(!urt_mutex_lock(&mutex, URT_NEVER));
	urt_cancel(victim);
	plain++;
	urt_mutex_unlock(&mutex);
	world_done(3);
}

static void mutex_given_up(void)
{
	world(2, 0);
	explore_name(&mutex, sizeof(mutex), "mutex");
	world_coro(0, locks_and_cancels, NULL);
	victim = world_coro(1, locks_once, NULL);
	world_coro(1, locks_once, NULL);
}

static void mutex_is_free(void)
{
	CHECK(plain == 2 || plain == 3);
	CHECK(!(mutex.state & 1u) && !mutex.waiters.head);
}

SCENARIO(mutex_given_up,
	 "A waiter that is cancelled leaves a mutex that others still get.",
	 .setup = mutex_given_up, .thread = { world_worker_0, world_worker_1 },
	 .check = mutex_is_free, .stale = 1);

/* ---- condition --------------------------------------------------------- */

static struct urt_cond cond;

static void waits_for_it(void *arg)
{
	(void)arg;
	CHECK(!urt_mutex_lock(&mutex, URT_NEVER));
	while (!plain)
		CHECK(!urt_cond_wait(&cond, &mutex, URT_NEVER));
	urt_mutex_unlock(&mutex);
	world_done(2);
}

static void signals(void *arg)
{
	(void)arg;
	CHECK(!urt_mutex_lock(&mutex, URT_NEVER));
	plain = 1;
	urt_cond_signal(&cond);
	urt_mutex_unlock(&mutex);
	world_done(2);
}

static void cond_of_two(void)
{
	two(waits_for_it, signals);
	explore_name(&cond, sizeof(cond), "condition");
	explore_name(&mutex, sizeof(mutex), "mutex");
}

SCENARIO(cond_with_its_mutex,
	 "A signal made with the mutex held is not lost to who waits.",
	 .setup = cond_of_two, .thread = { world_worker_0, world_worker_1 });

/* ---- the others -------------------------------------------------------- */

static struct urt_sem sem;

static void takes(void *arg)
{
	(void)arg;
	CHECK(!urt_sem_wait(&sem, URT_NEVER));
	CHECK(plain == 1);
	world_done(2);
}

static void posts(void *arg)
{
	(void)arg;
	plain = 1;
	urt_sem_post(&sem);
	world_done(2);
}

static void sem_of_two(void)
{
	two(takes, posts);
	explore_name(&sem, sizeof(sem), "semaphore");
}

SCENARIO(sem_post_against_wait,
	 "A post is not lost, and who takes it sees what was before it.",
	 .setup = sem_of_two, .thread = { world_worker_0, world_worker_1 });

static struct urt_rwlock rwlock;

static void reads(void *arg)
{
	(void)arg;
	CHECK(!urt_rwlock_rdlock(&rwlock, URT_NEVER));
	CHECK(plain >= 0);
	urt_rwlock_unlock(&rwlock);
	world_done(3);
}

static void writes(void *arg)
{
	(void)arg;
	CHECK(!urt_rwlock_wrlock(&rwlock, URT_NEVER));
	plain++;
	urt_rwlock_unlock(&rwlock);
	world_done(3);
}

static void rwlock_of_three(void)
{
	world(2, 0);
	explore_name(&rwlock, sizeof(rwlock), "rwlock");
	world_coro(0, writes, NULL);
	world_coro(0, reads, NULL);
	world_coro(1, writes, NULL);
}

SCENARIO(rwlock_of_three,
	 "Writers are alone, and readers are let in after them.",
	 .setup = rwlock_of_three,
	 .thread = { world_worker_0, world_worker_1 });

static struct urt_once once;

static void initialises(void *arg)
{
	(void)arg;
	plain++;
}

static void does_once(void *arg)
{
	(void)arg;
	CHECK(!urt_once_do(&once, initialises, NULL, URT_NEVER));
	CHECK(plain == 1);
	world_done(2);
}

static void once_of_two(void)
{
	two(does_once, does_once);
	explore_name(&once, sizeof(once), "once");
}

SCENARIO(once_of_two,
	 "Once runs its function once, and nobody passes before it returned.",
	 .setup = once_of_two, .thread = { world_worker_0, world_worker_1 });

static struct urt_barrier barrier;
static int before[2];

static void meets(void *arg)
{
	int me = (int)(intptr_t)arg;

	before[me] = 1;
	CHECK(urt_barrier_wait(&barrier, URT_NEVER) >= 0);
	CHECK(before[!me]);
	world_done(2);
}

static void barrier_of_two(void)
{
	world(2, 0);
	urt_barrier_init(&barrier, 2);
	explore_name(&barrier, sizeof(barrier), "barrier");
	world_coro(0, meets, (void *)0);
	world_coro(1, meets, (void *)1);
}

SCENARIO(barrier_of_two, "Nobody passes a barrier before all have come.",
	 .setup = barrier_of_two, .thread = { world_worker_0, world_worker_1 });

/* The group is on the heap, and the waiter frees it. */
static struct urt_waitgroup *group;

static void waits_for_group(void *arg)
{
	(void)arg;
	CHECK(!urt_waitgroup_wait(group, URT_NEVER));
	CHECK(plain == 1);
	*(volatile char *)group = 0; /* the waiter may reuse it */
	world_done(2);
}

static void is_done(void *arg)
{
	(void)arg;
	plain = 1;
	urt_waitgroup_done(group);
	world_done(2);
}

static void group_of_two(void)
{
	world(2, 0);
	group = explore_alloc(sizeof(*group));
	explore_name(group, sizeof(*group), "wait group");
	urt_waitgroup_init(group);
	group->state = 2; /* one member is running */
	world_coro(0, waits_for_group, NULL);
	world_coro(1, is_done, NULL);
}

SCENARIO(waitgroup_is_freed,
	 "Who has waited for a wait group may free it: nobody touches it then.",
	 .setup = group_of_two, .thread = { world_worker_0, world_worker_1 });
