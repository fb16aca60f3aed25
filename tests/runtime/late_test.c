// SPDX-License-Identifier: MIT
/*
 * No coroutine delays another, at random: coroutines compute, block in libc, fault
 * on pages and use every primitive at once, on 1, 2 and 8 workers. No step of any of
 * them may take longer than a bound. What is sent over channels and sockets arrives,
 * once, in order; what a lock guards is counted right; an operation that is cancelled
 * while it completes has one of the two results; blocked calls do not return early.
 *
 * The bound allows for the machine: a plain thread that sleeps in the kernel tells how
 * late threads are. A watcher outside the runtime looks at all steps under way, so a
 * lost wake-up ends the test too: it names the step and dies as SIGQUIT does, with the
 * runtime's own report of all coroutines.
 *
 * make stress SECONDS=n runs it, and the suite `stress`, with one seed after another.
 */
#define _GNU_SOURCE
#include "../../uring_rt/sched/sched.h"
#include "../lib/test.h"
#include "../lib/workers.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CITIZENS = 24, HOGS = 4, BLOCKERS = 8, FAULTERS = 2, PAIRS = 4 };
enum { ACTORS = CITIZENS + HOGS + BLOCKERS + FAULTERS + 2 * PAIRS };

#define BOUND_NS (1500 * MS) /* and 50 times how late a thread is */
#define PAGE	 4096
#define PAGES	 256

struct actor {
	_Atomic int64_t since_ns; /* when its step began; 0: it has none */
	const char *_Atomic step; /* its name */
	uint64_t random;
	_Atomic bool gone; /* it was joined */
	_Atomic long steps;
	int64_t longest_ns;
	const char *longest_step;
	int peer; /* of a pair: its socket */
};

static struct actor actors[ACTORS];
static _Atomic bool over, all_gone;
static _Atomic int64_t over_ns;	       /* since when */
static _Atomic int64_t thread_late_ns; /* a thread's sleep of 1 ms, at worst */
static _Atomic long blocked, early, sent, received, completed, cancelled,
	timed_out;
static struct urt_chan *chan;
static struct urt_mutex mutex = URT_MUTEX_INIT;
static struct urt_sem sem = URT_SEM_INIT(3);
static struct urt_rwlock rwlock = URT_RWLOCK_INIT;
static long guarded; /* by mutex */
static _Atomic long guarded_for;
static sem_t never_posted;
static uint64_t the_seed;

static int64_t bound_ns(void)
{
	return (BOUND_NS + 50 * thread_late_ns) * slower() *
	       (SANITIZED ? 5 : 1);
}

static void begin(struct actor *a, const char *step)
{
	a->step = step;
	a->since_ns = urt_now();
}

static void end(struct actor *a)
{
	int64_t took = urt_now() - a->since_ns;

	if (took > a->longest_ns) {
		a->longest_ns = took;
		a->longest_step = a->step;
	}
	a->since_ns = 0;
	a->steps++;
}

/* ---- steps ---- */

static void step_sleep(struct actor *a)
{
	ck_assert_int_eq(urt_sleep(rnd(&a->random) % (2 * MS)), 0);
}

static void step_yield(struct actor *a)
{
	urt_yield();
}

static void step_lock(struct actor *a)
{
	ck_assert_int_eq(urt_mutex_lock(&mutex, URT_NEVER), 0);
	guarded++;
	if (rnd(&a->random) % 8 == 0)
		urt_yield();
	urt_mutex_unlock(&mutex);
	guarded_for++;
}

static void step_rwlock(struct actor *a)
{
	if (rnd(&a->random) % 4) {
		ck_assert_int_eq(urt_rwlock_rdlock(&rwlock, URT_NEVER), 0);
		urt_yield();
		urt_rwlock_unlock(&rwlock);
	} else {
		ck_assert_int_eq(urt_rwlock_wrlock(&rwlock, URT_NEVER), 0);
		urt_rwlock_unlock(&rwlock);
	}
}

static void step_sem(struct actor *a)
{
	ck_assert_int_eq(urt_sem_wait(&sem, URT_NEVER), 0);
	if (rnd(&a->random) % 4 == 0)
		urt_sleep(rnd(&a->random) % 100000);
	urt_sem_post(&sem);
}

static void step_chan(struct actor *a)
{
	uint64_t v = rnd(&a->random);
	int ret;

	if (v % 2) {
		ret = urt_chan_send(chan, &v, urt_after(v % MS));
		sent += !ret;
	} else {
		ret = urt_chan_recv(chan, &v, urt_after(v % MS));
		received += !ret;
	}
	ck_assert(!ret || ret == -ETIME);
	timed_out += ret == -ETIME;
}

static int64_t on_the_pool(void *arg)
{
	usleep(rnd(arg) % 500);
	return 7;
}

static void step_blocking(struct actor *a)
{
	int64_t ret = urt_blocking_until(on_the_pool, &a->random,
					 urt_after(rnd(&a->random) % MS));

	ck_assert(ret == 7 || ret == -ETIME);
}

static void child(void *arg)
{
	if (rnd(arg) % 2)
		urt_yield();
}

static void step_spawn(struct actor *a)
{
	uint64_t r[2] = { rnd(&a->random) | 1, rnd(&a->random) | 1 };
	struct urt_coro *c[2] = { urt_spawn(child, &r[0]),
				  urt_spawn(child, &r[1]) };

	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(urt_join(c[i]), 0);
}

/* A cancellation against a completion: a byte that comes at about that time. */
struct race {
	int fd, result;
};

static void receive_one(void *arg)
{
	struct race *r = arg;
	char byte;

	r->result = urt_recv(r->fd, &byte, 1, 0, URT_NEVER);
}

static void step_cancel(struct actor *a)
{
	struct race r = { -1, 0 };
	struct urt_coro *c;
	char byte = 0;
	int fd[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd),
			 0);
	r.fd = fd[0];
	c = urt_spawn(receive_one, &r);
	if (rnd(&a->random) % 2)
		urt_yield();
	if (rnd(&a->random) % 2)
		ck_assert_int_eq(write(fd[1], &byte, 1), 1);
	urt_cancel(c);
	ck_assert_int_eq(urt_join(c), 0);
	ck_assert(r.result == 1 || r.result == -ECANCELED);
	completed += r.result == 1;
	cancelled += r.result == -ECANCELED;
	/* What was not received is there yet: nothing is lost. */
	if (r.result == 1)
		ck_assert_int_lt(recv(fd[0], &byte, 1, MSG_DONTWAIT), 0);
	close(fd[0]);
	close(fd[1]);
}

static const struct {
	const char *name;
	void (*fn)(struct actor *);
} steps[] = {
	{ "sleep", step_sleep },   { "yield", step_yield },
	{ "mutex", step_lock },	   { "rwlock", step_rwlock },
	{ "sem", step_sem },	   { "channel", step_chan },
	{ "pool", step_blocking }, { "spawn and join", step_spawn },
	{ "cancel", step_cancel }, { "channel", step_chan },
};

static void citizen(void *arg)
{
	struct actor *a = arg;

	end(a); /* of its start */
	while (!over) {
		unsigned i = rnd(&a->random) % ARRAY_LEN(steps);

		begin(a, steps[i].name);
		steps[i].fn(a);
		end(a);
	}
}

/* ---- what is to delay nobody ---- */

static void hog(void *arg)
{
	struct actor *a = arg;

	while (!over) {
		volatile unsigned n = rnd(&a->random) % 10000000;

		while (n--)
			;
		urt_yield();
	}
}

/* The call that a signal ended early, by its own word: CLOCK_REALTIME may be set
 * meanwhile. NULL: none. */
static const char *block_in_libc(struct actor *a)
{
	int64_t ns = MS + rnd(&a->random) % (10 * MS);
	struct timespec at, t = { 0, ns };
	int how = rnd(&a->random) % 3;

	if (how == 0)
		return nanosleep(&t, NULL) ? "nanosleep" : NULL;
	if (how == 1)
		return poll(NULL, 0, ns / MS) ? "poll" : NULL;
	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_nsec += ns;
	at.tv_sec += at.tv_nsec / 1000000000;
	at.tv_nsec %= 1000000000;
	sem_timedwait(&never_posted, &at);
	return *urt_errno_location() == ETIMEDOUT ? NULL : "sem_timedwait";
}

static const char *_Atomic cut_short;

static void blocker(void *arg)
{
	struct actor *a = arg;

	while (!over) {
		const char *call = block_in_libc(a);

		blocked++;
		if (call) {
			early++;
			cut_short = call;
		}
		if (rnd(&a->random) % 2)
			urt_yield();
		else
			urt_sleep(rnd(&a->random) % MS);
	}
}

static void faulter(void *arg)
{
	struct actor *a = arg;

	while (!over) {
		volatile char *p =
			mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		ck_assert(p != MAP_FAILED);
		for (int i = 0; i < PAGES; i++)
			p[rnd(&a->random) % PAGES * PAGE] = 1;
		munmap((void *)p, PAGES * PAGE);
		urt_yield();
	}
}

/* ---- pairs: numbers to and fro over a socket, in order ---- */

static void asker(void *arg)
{
	struct actor *a = arg;

	for (uint64_t n = 1; !over; n++) {
		uint64_t got = 0;

		begin(a, "round trip");
		ck_assert_int_eq(urt_send(a->peer, &n, 8, 0, URT_NEVER), 8);
		ck_assert_int_eq(
			urt_recv(a->peer, &got, 8, MSG_WAITALL, URT_NEVER), 8);
		ck_assert_uint_eq(got, n);
		end(a);
	}
	shutdown(a->peer, SHUT_RDWR);
}

static void answerer(void *arg)
{
	struct actor *a = arg;
	uint64_t n;

	while (urt_recv(a->peer, &n, 8, MSG_WAITALL, URT_NEVER) == 8)
		if (urt_send(a->peer, &n, 8, MSG_NOSIGNAL, URT_NEVER) != 8)
			break;
}

/* ---- the watcher ---- */

static _Noreturn void die(const char *step, long actor, int64_t late)
{
	fprintf(stderr,
		"late: \"%s\" of actor %ld for %lld ms (bound %lld), "
		"URT_SEED=%llu\n",
		step, actor, (long long)(late / MS),
		(long long)(bound_ns() / MS), (unsigned long long)the_seed);
	kill(getpid(), SIGQUIT);
	sleep(10);
	abort();
}

static void look_at(const struct actor *a)
{
	int64_t since = a->since_ns, late = since ? urt_now() - since : 0;

	if (late <= bound_ns() || a->since_ns != since)
		return;
	die(a->step, a - actors, late);
}

/* All have seen by now that it is over. */
static void look_at_end(void)
{
	int64_t late = over_ns ? urt_now() - over_ns : 0;

	for (int i = 0; late > 2 * bound_ns() && i < ACTORS; i++)
		if (!actors[i].gone)
			die("the end", i, late);
}

static void *watch(void *arg)
{
	while (!all_gone) {
		int64_t from = urt_now(), late;
		struct timespec ms = { 0, MS };

		nanosleep(&ms, NULL);
		late = urt_now() - from - MS;
		if (late > thread_late_ns)
			thread_late_ns = late;
		for (int i = 0; i < ACTORS; i++)
			look_at(&actors[i]);
		look_at_end();
	}
	return NULL;
}

/* ---- all of them ---- */

static urt_fn *role(int i)
{
	if (i < CITIZENS)
		return citizen;
	if (i < CITIZENS + HOGS)
		return hog;
	if (i < CITIZENS + HOGS + BLOCKERS)
		return blocker;
	if (i < CITIZENS + HOGS + BLOCKERS + FAULTERS)
		return faulter;
	return (ACTORS - i) % 2 ? answerer : asker;
}

static int64_t for_ns(void)
{
	const char *s = getenv("URT_STRESS_SECONDS");

	return s ? atol(s) * 1000 * MS : 500 * MS;
}

static void drain(void)
{
	uint64_t v;

	while (!urt_chan_recv(chan, &v, 0))
		received++;
	urt_chan_free(chan);
}

/* A busy machine may not have come to all of them. */
static bool each_did_something(void)
{
	for (int i = 0; i < ACTORS; i++)
		if (role(i) == citizen && !actors[i].steps)
			return false;
	return completed && cancelled && counter(URT__STAT_HANDOFFS);
}

static void check(void)
{
	struct actor *worst = actors;
	long all = 0;

	for (int i = 0; i < ACTORS; i++) {
		all += actors[i].steps;
		if (actors[i].longest_ns > worst->longest_ns)
			worst = &actors[i];
	}
	ck_assert_int_eq(sent, received);
	ck_assert_int_eq(guarded, guarded_for);
	ck_assert_msg(!early, "%ld of %ld returned early, the last: %s",
		      (long)early, (long)blocked, cut_short);
	ck_assert_msg(worst->longest_ns <= bound_ns(), "\"%s\" took %lld ms",
		      worst->longest_step, (long long)(worst->longest_ns / MS));
	if (getenv("URT_STRESS_SECONDS"))
		printf("%ld steps, longest %.1f ms (%s), a thread %.1f late; "
		       "%llu hand-offs, %llu preemptions, %ld cancelled, "
		       "%ld of %ld blocked calls early\n",
		       all, worst->longest_ns / 1e6, worst->longest_step,
		       thread_late_ns / 1e6,
		       (unsigned long long)counter(URT__STAT_HANDOFFS),
		       (unsigned long long)counter(URT__STAT_PREEMPTIONS),
		       (long)cancelled, (long)early, (long)blocked);
}

static void society(void *arg)
{
	struct urt_coro *c[ACTORS];
	uint64_t r = the_seed | 1;
	int pair[PAIRS][2];
	pthread_t watcher;

	chan = urt_chan_new(8, 2);
	sem_init(&never_posted, 0, 0);
	for (int i = 0; i < PAIRS; i++)
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair[i]),
				 0);
	ck_assert_int_eq(pthread_create(&watcher, NULL, watch, NULL), 0);
	for (int i = 0; i < ACTORS; i++) {
		int k = ACTORS - 1 - i;

		actors[i].random = rnd(&r) | 1;
		actors[i].peer = k < 2 * PAIRS ? pair[k / 2][k % 2] : -1;
		if (role(i) == citizen)
			begin(&actors[i], "the start");
		c[i] = urt_spawn(role(i), &actors[i]);
	}
	urt_sleep(for_ns());
	while (!each_did_something())
		urt_sleep(10 * MS);
	over_ns = urt_now();
	over = true;
	for (int i = 0; i < ACTORS; i++) {
		ck_assert_int_eq(urt_join(c[i]), 0);
		actors[i].gone = true;
	}
	all_gone = true;
	pthread_join(watcher, NULL);
	drain();
	for (int i = 0; i < PAIRS; i++) {
		close(pair[i][0]);
		close(pair[i][1]);
	}
	check();
}

START_TEST(coroutine_is_not_late_whatever_the_others_do)
{
	static const unsigned workers[] = { 1, 2, 8 };
	struct urt_options o = { .workers = workers[_i], .max_blocking = 4 };

	the_seed = seed() + _i * 7919;
	ck_assert_int_eq(urt_run_with(society, NULL, &o), 0);
}
END_TEST

Suite *late_suite(void)
{
	Suite *s = suite_create("late");
	TCase *t = tcase_create("late");

	tcase_set_timeout(t, 60 + for_ns() / MS / 1000);
	tcase_add_loop_test(t, coroutine_is_not_late_whatever_the_others_do, 0,
			    3);
	suite_add_tcase(s, t);
	return s;
}
