// SPDX-License-Identifier: MIT
/* Mistakes of the program: the runtime names each, with its place, and aborts. */
#define _GNU_SOURCE
#include "../lib/child.h"
#include "../lib/workers.h"
#include <pthread.h>
#include <sys/personality.h>

static void receive(void *arg)
{
	urt_chan_recv(arg, NULL, URT_NEVER);
}

static void free_too_early(void *arg)
{
	struct urt_chan *c = urt_chan_new(4, 0);

	(void)arg;
	until_parked(urt_spawn(receive, c), URT__R_CHAN_RECV);
	urt_chan_free(c);
	urt_yield(); /* so that the call is not a jump */
}

static void unlock_unlocked(void *arg)
{
	struct urt_mutex m = URT_MUTEX_INIT;

	(void)arg;
	urt_mutex_unlock(&m);
	urt_yield();
}

static void enable_only(void *arg)
{
	(void)arg;
	urt_preempt_enable();
	urt_yield();
}

/* Beyond its own guard, without touching that. */
static __attribute__((noinline)) void large_frame(void *arg)
{
	char b[200000];

	(void)arg;
	b[0] = 1;
	__asm__ volatile("" ::"r"(b) : "memory");
	urt_sleep(1);
}

static void step_over(void *arg)
{
	(void)arg;
	for (int i = 0; i < 40; i++)
		urt_go(receive, urt_chan_new(4, 0));
	urt_yield();
	urt_join(urt_spawn(large_frame, NULL));
}

static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;

static void hold_across_a_sleep(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&held);
	urt_sleep(MS);
	pthread_mutex_unlock(&held);
}

static void end_with_a_lock(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&held);
}

static void join_one_with_a_lock(void *arg)
{
	(void)arg;
	urt_join(urt_spawn(end_with_a_lock, NULL));
}

static void end_the_thread(void *arg)
{
	(void)arg;
	urt_yield();
	pthread_exit(NULL);
}

static void keep_a_personality(void *arg)
{
	(void)arg;
	personality(personality(0xffffffff) ^ ADDR_COMPAT_LAYOUT);
	urt_sleep(MS);
}

static void wait_for_a_duration(void *arg)
{
	struct urt_sem s = URT_SEM_INIT(0);

	(void)arg;
	urt_sem_wait(&s, 5 * MS);
	urt_yield();
}

static void wait_for_minus_one(void *arg)
{
	(void)arg;
	urt_poll(0, POLLIN, -1);
	urt_yield();
}

static void open_for_a_duration(void *arg)
{
	struct urt_scope s;

	(void)arg;
	urt_scope_open(&s, 5 * MS);
	urt_scope_close(&s);
}

static const struct {
	urt_fn *fn;
	const char *says, *names, *debug;
} mistakes[] = {
	{ hold_across_a_sleep, "suspends and holds 1 pthread lock",
	  "hold_across_a_sleep", "check" },
	{ join_one_with_a_lock, "(end_with_a_lock) ends and holds 1 pthread",
	  "end_with_a_lock", "check" },
	{ keep_a_personality, "has changed its thread's personality",
	  "keep_a_personality", "check" },
	{ wait_for_a_duration, "give urt_after(5000000)", "wait_for_a_duration",
	  "check" },
	{ wait_for_minus_one, "a deadline of -1", "wait_for_minus_one",
	  "check" },
	{ open_for_a_duration, "give urt_after(5000000)", "open_for_a_duration",
	  "check" },
	{ end_the_thread, "(end_the_thread) ends its thread", "end_the_thread",
	  NULL },
	{ free_too_early,
	  "urt_chan_free of a channel that coroutines are "
	  "waiting on",
	  "free_too_early", NULL },
	{ unlock_unlocked, "urt_mutex_unlock of a mutex that is not locked",
	  "unlock_unlocked", NULL },
	{ enable_only, "urt_preempt_enable without urt_preempt_disable",
	  "enable_only", NULL },
	{ step_over, "coroutine stack overflow: coroutine 42 (large_frame)",
	  "large_frame", NULL },
};

START_TEST(mistake_of_the_program_is_named_with_its_place)
{
	struct urt_options o = { .workers = 1, .stack_size = 32768 };
	char buf[8192];
	int status;

	if (TSANITIZED || (SANITIZED && (mistakes[_i].fn == step_over ||
					 mistakes[_i].fn == end_the_thread)))
		SKIP("the sanitizer reports it itself");
	if (mistakes[_i].debug)
		setenv("URT_DEBUG", mistakes[_i].debug, 1);
	status = child_says(mistakes[_i].fn, &o, buf, sizeof(buf));
	ck_assert_msg(WIFSIGNALED(status), "%x: %.1500s", status, buf);
	ck_assert_msg(strstr(buf, mistakes[_i].says) != NULL, "%.1500s", buf);
	/* Static functions, by the symbol table. */
	ck_assert_msg(strstr(buf, mistakes[_i].names) != NULL, "%.1500s", buf);
	ck_assert_ptr_null(strstr(buf, "uring_rt: bug"));
}
END_TEST

/* Correct programs pass: locks that are released, the caller's own, deadlines
 * that have just passed. */
static void make_no_mistake(void *arg)
{
	struct urt_sem s = URT_SEM_INIT(0);

	(void)arg;
	for (int i = 0; i < 100; i++) {
		pthread_mutex_lock(&held);
		pthread_mutex_unlock(&held);
		ck_assert_int_eq(urt_sem_wait(&s, 0), -ETIME);
		ck_assert_int_eq(urt_sem_wait(&s, urt_now()), -ETIME);
		urt_yield();
		printf("%s", "");
		urt_sleep(1000);
	}
}

START_TEST(check_finds_nothing_where_there_is_nothing)
{
	static pthread_mutex_t outer = PTHREAD_MUTEX_INITIALIZER;

	setenv("URT_DEBUG", "check", 1);
	pthread_mutex_lock(&outer);
	ck_assert_int_eq(urt_run(make_no_mistake, NULL), 0);
	pthread_mutex_unlock(&outer);
}
END_TEST

Suite *mistakes_suite(void)
{
	Suite *s = suite_create("mistakes");
	TCase *t = tcase_create("mistakes");

	tcase_add_loop_test(t, mistake_of_the_program_is_named_with_its_place,
			    0, ARRAY_LEN(mistakes));
	tcase_add_test(t, check_finds_nothing_where_there_is_nothing);
	suite_add_tcase(s, t);
	return s;
}
