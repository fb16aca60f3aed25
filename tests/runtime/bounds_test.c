// SPDX-License-Identifier: MIT
/*
 * No coroutine delays another: coroutines that block, compute, or make rows of
 * calls, and others that must continue. The time limits lie far above the
 * correct times, so that a busy machine keeps them, and far below the times of
 * a fault.
 */
#define _GNU_SOURCE
#include "../../tools/lib/proc.h"
#include "../lib/workers.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>

/* ---- coroutines that block --------------------------------------------- */

static _Thread_local volatile unsigned long sink;

/*
 * A call blocks just when its coroutine's preemption is due, while completions
 * in its thread's ring interrupt it. The kernel restarts the call after these,
 * but not if the signal comes then. (With a timer of all CPU time, instead of
 * the time in user space, 1 to 7 of 200 calls end early.)
 */
enum { DUE_ROUNDS = 200, DUE_READERS = 64 };
#define DUE_MAX (20000 * MS)

static int eventfd_fd;
static atomic_bool due_over;

static void *complete_often(void *arg)
{
	const struct timespec t = { 0, 10000 };
	const uint64_t one = 1;

	while (!due_over) {
		ck_assert_int_eq(write(eventfd_fd, &one, sizeof(one)), 8);
		nanosleep(&t, NULL);
	}
	return NULL;
}

static void read_until_over(void *arg)
{
	uint64_t n;

	while (!due_over)
		ck_assert_int_eq(urt_read(eventfd_fd, &n, sizeof(n), URT_NEVER),
				 8);
}

/* Waits until the monitor has set the timer; not much longer, as the tick comes
 * soon after. */
static bool await_timer(void)
{
	struct urt__worker *w = urt__worker();
	int64_t until = urt_now() + 100 * MS;

	while (!atomic_load(&w->preempt))
		if (urt_now() > until)
			return false;
	until = urt_now() + MS / 100;
	while (urt_now() < until)
		;
	return true;
}

static void block_when_due(void *arg)
{
	int64_t end = urt_now() + DUE_MAX;
	sem_t never_posted;
	struct timespec at;
	int due = 0;

	sem_init(&never_posted, 0, 0);
	/* On a busy machine the timer comes late, so there are more rounds, or
	 * fewer in the end. With due == 0, nothing can be preempted here (malloc
	 * is the program's own). */
	for (int i = 0; (i < DUE_ROUNDS || (due && due <= DUE_ROUNDS / 4)) &&
			urt_now() < end;
	     i++) {
		due += await_timer();
		clock_gettime(CLOCK_REALTIME, &at);
		at.tv_nsec += 3 * MS;
		at.tv_sec += at.tv_nsec / 1000000000;
		at.tv_nsec %= 1000000000;
		ck_assert_int_eq(sem_timedwait(&never_posted, &at), -1);
		ck_assert_int_eq(*urt_errno_location(), ETIMEDOUT);
		urt_sleep(MS); /* the readers wait in this thread's ring */
	}
	due_over = true;
}

static void yield_until_over(void *arg)
{
	while (!due_over)
		urt_yield();
}

static void block_among_completions(void *arg)
{
	struct urt_coro *c[DUE_READERS], *block, *yield;
	const uint64_t all = DUE_READERS;
	pthread_t thread;

	eventfd_fd = eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK);
	for (int i = 0; i < DUE_READERS; i++)
		c[i] = urt_spawn(read_until_over, NULL);
	pthread_create(&thread, NULL, complete_often, NULL);
	block = urt_spawn(block_when_due, NULL);
	yield = urt_spawn(yield_until_over, NULL);
	urt_join(block);
	urt_join(yield);
	pthread_join(thread, NULL);
	ck_assert_int_eq(write(eventfd_fd, &all, sizeof(all)), 8);
	for (int i = 0; i < DUE_READERS; i++)
		urt_join(c[i]);
	close(eventfd_fd);
}

START_TEST(call_that_blocks_as_its_coroutine_is_preempted_ends_in_time)
{
	if (can_preempt())
		run_on(1, block_among_completions, NULL);
}
END_TEST

/*
 * The same, but the signal comes just before the instruction that restarts the
 * call. By chance this happens in 1 of 75,000 calls, so another process plays
 * the kernel.
 */
#if defined(__x86_64__)

enum { ERESTART_RESTARTBLOCK = 516 };

/* Stops the thread, by no other signal. */
static bool interrupt(pid_t tid)
{
	int status;

	if (ptrace(PTRACE_INTERRUPT, tid, NULL, NULL))
		return false;
	while (waitpid(tid, &status, __WALL) == tid && WIFSTOPPED(status)) {
		if (status >> 16 == PTRACE_EVENT_STOP)
			return true;
		if (ptrace(PTRACE_CONT, tid, NULL, WSTOPSIG(status)))
			return false;
	}
	return false;
}

/* Interrupts the thread's call, and has SIGURG come just before the call
 * restarts. NULL, or the step that failed. */
static const char *interrupt_at_the_restart(pid_t pid, pid_t tid)
{
	siginfo_t info = { .si_signo = SIGURG, .si_code = SI_TKILL };
	struct user_regs_struct r;
	int status;

	info.si_pid = pid;
	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL))
		return "PTRACE_SEIZE";
	for (;;) {
		if (!interrupt(tid) || ptrace(PTRACE_GETREGS, tid, NULL, &r))
			return "PTRACE_INTERRUPT";
		if ((long)r.rax == -ERESTART_RESTARTBLOCK)
			break;
		/* The thread does not sleep now. */
		if (ptrace(PTRACE_CONT, tid, NULL, NULL))
			return "PTRACE_CONT";
		usleep(10000);
	}
	r.rax = SYS_restart_syscall;
	r.rip -= 2;
	r.orig_rax = -1;
	if (ptrace(PTRACE_SETREGS, tid, NULL, &r) ||
	    syscall(SYS_tgkill, pid, tid, SIGURG) ||
	    ptrace(PTRACE_CONT, tid, NULL, NULL) ||
	    waitpid(tid, &status, __WALL) != tid)
		return "PTRACE_CONT";
	if (ptrace(PTRACE_SETSIGINFO, tid, NULL, &info) ||
	    ptrace(PTRACE_DETACH, tid, NULL, SIGURG))
		return "PTRACE_DETACH";
	return NULL;
}

static int tid_pipe[2];
static pid_t kernel;
static int kernel_status;

static pid_t fork_kernel(pid_t pid)
{
	pid_t child = fork(), tid;
	const char *failed;

	if (child)
		return child;
	if (read(tid_pipe[0], &tid, sizeof(tid)) != sizeof(tid))
		_exit(2);
	failed = interrupt_at_the_restart(pid, tid);
	if (failed && !strcmp(failed, "PTRACE_SEIZE"))
		_exit(77);
	if (failed)
		perror(failed);
	_exit(failed ? 1 : 0);
}

/* Until one of the sleeps was interrupted. */
static void sleep_half_seconds(void *arg)
{
	struct timespec t = { 0, 500 * MS };
	pid_t tid = gettid();
	int64_t begin;

	ck_assert_int_eq(write(tid_pipe[1], &tid, sizeof(tid)), sizeof(tid));
	do {
		begin = urt_now();
		ck_assert_int_eq(nanosleep(&t, NULL), 0);
		ck_assert_int_ge(urt_now() - begin, 500 * MS);
	} while (!waitpid(kernel, &kernel_status, WNOHANG));
}

START_TEST(call_goes_on_though_the_signal_comes_at_its_restart)
{
	if (!can_preempt())
		return;
	ck_assert_int_eq(pipe(tid_pipe), 0);
	kernel = fork_kernel(getpid());
	prctl(PR_SET_PTRACER, kernel);
	run_on(1, sleep_half_seconds, NULL);
	if (kernel_status == 77 << 8)
		SKIP("ptrace is not permitted");
	ck_assert_int_eq(kernel_status, 0);
}
END_TEST

#endif

/* ---- coroutines that compute ------------------------------------------- */

static atomic_int computed;
static atomic_bool over;

static void compute(void *arg)
{
	int64_t until = urt_now() + 30 * MS;

	while (urt_now() < until)
		for (int i = 0; i < 1000; i++)
			sink += i;
	computed++;
}

static void sleep_among_new_ones(void *arg)
{
	struct urt_coro *c[20];

	for (int i = 0; i < 20; i++)
		c[i] = urt_spawn(compute, NULL);
	urt_sleep(MS);
	ck_assert_int_lt(computed, 15);
	for (int i = 0; i < 20; i++)
		urt_join(c[i]);
}

START_TEST(sleep_ends_before_all_new_coroutines_have_computed)
{
	run_on(1, sleep_among_new_ones, NULL);
}
END_TEST

static void compute_for_ever(void *arg)
{
	for (;;)
		sink++;
}

static void leave_it(void *arg)
{
	urt_go(compute_for_ever, NULL);
	urt_sleep(5 * MS);
}

START_TEST(run_ends_though_all_signals_are_blocked)
{
	sigset_t all, now;

	if (!can_preempt())
		SKIP("nothing is preempted by a signal in this build");
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	run_on(1 + _i, leave_it, NULL);
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	ck_assert_int_eq(sigismember(&now, SIGURG), 1);
}
END_TEST

/* Is nearly always in libc, where no coroutine may be stopped. */
static void compute_in_a_library(void *arg)
{
	size_t (*length)(const char *) = strlen;

	computed++;
	while (!over) {
		__asm__ volatile("" : "+r"(length)::"memory");
		sink += length(arg);
	}
}

/* Is nearly always in the program's own text, where it could be stopped. */
static void compute_and_block(void *arg)
{
	computed++;
	while (!over) {
		usleep(300);
		for (int i = 0; i < 300000; i++)
			sink += i;
	}
}

static void yield_next_to_them(void *arg)
{
	(void)arg;
	while (!over)
		urt_yield();
}

static bool is_napping(int tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", tid);
	return proc_number(path, -1) == SYS_futex;
}

/* Seen once, not at the same time: a nap ends by the clock, and on a machine that
 * starves the test, the next one is far away. */
static int have_napped(void)
{
	static bool seen[URT__WORKERS_MAX];
	int n = 0;

	for (unsigned i = 0; i < urt__rt.nr_workers; i++) {
		seen[i] |= atomic_load(&urt__rt.worker[i]->state) ==
				   URT__W_DETACHED &&
			   is_napping(urt__rt.worker[i]->tid);
		n += seen[i];
	}
	return n;
}

/* All of them have lost their processors, and yet many of them nap while others wait. */
static void be_many(void *arg)
{
	urt_fn *fn = *(urt_fn **)arg;
	enum { MANY = 40, OTHERS = 6 };
	struct urt_coro *c[MANY + OTHERS];
	static char text[1 << 18];

	memset(text, 'x', sizeof(text) - 1);
	for (int i = 0; i < MANY; i++)
		c[i] = urt_spawn(fn, text);
	while (computed < MANY)
		urt_sleep(MS);
	for (int i = MANY; i < MANY + OTHERS; i++)
		c[i] = urt_spawn(yield_next_to_them, NULL);
	while (have_napped() < MANY / 4)
		urt_sleep(5 * MS);
	over = true;
	for (int i = 0; i < MANY + OTHERS; i++)
		urt_join(c[i]);
}

START_TEST(coroutines_that_compute_without_a_processor_leave_the_workers_cpu)
{
	static urt_fn *const how[] = { compute_in_a_library,
				       compute_and_block };

	if (!can_preempt())
		SKIP("no coroutine is preempted here");
	run_on(1 + _i % 2, be_many, (void *)&how[_i / 2]);
}
END_TEST

/* ---- rows of calls ----------------------------------------------------- */

enum { ROW = 1000 };
static atomic_bool stop;
static uint64_t parked_before; /* the row; fn may begin it later */

static void yield_on(void *arg)
{
	while (!stop)
		urt_yield();
}

/* Runs fn while other coroutines run; returns how often it parked on an
 * operation. */
static uint64_t parks_of(void (*fn)(void))
{
	struct urt_coro *other[10];
	uint64_t parks;

	stop = false;
	for (int i = 0; i < 10; i++)
		other[i] = urt_spawn(yield_on, NULL);
	urt_yield();
	parked_before = counter(URT__STAT_PARKS_IO);
	fn();
	parks = counter(URT__STAT_PARKS_IO) - parked_before;
	stop = true;
	for (int i = 0; i < 10; i++)
		urt_join(other[i]);
	return parks;
}

static void read_a_file(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	char buf[4096];

	for (int i = 0; i < ROW; i++)
		ck_assert_int_eq(urt_pread(fd, buf, sizeof(buf), 0, URT_NEVER),
				 sizeof(buf));
	close(fd);
}

static void open_and_close(void)
{
	for (int i = 0; i < ROW / 2; i++) {
		int fd = urt_openat(AT_FDCWD, "/", O_RDONLY | O_CLOEXEC, 0,
				    URT_NEVER);

		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(urt_close(fd), 0);
	}
}

static void send_datagrams(void)
{
	int s[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, s),
			 0);
	for (int i = 0; i < ROW; i++) {
		ck_assert_int_eq(urt_send(s[0], "x", 1, 0, URT_NEVER), 1);
		if (i % 8 == 7) /* plain: only the row of sends matters */
			for (int j = 0; j < 8; j++) {
				char c;

				ck_assert_int_eq(recv(s[1], &c, 1, 0), 1);
			}
	}
	close(s[0]);
	close(s[1]);
}

static struct {
	int listener;
	struct sockaddr_in at;
} server;

static void listen_anew(void)
{
	socklen_t len = sizeof(server.at);

	server.listener = urt_listen("127.0.0.1:0", URT_NEVER);
	ck_assert_int_ge(server.listener, 0);
	getsockname(server.listener, (void *)&server.at, &len);
}

static void connect_one(int *client)
{
	*client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(
		connect(*client, (void *)&server.at, sizeof(server.at)), 0);
}

static void accept_one(int client)
{
	int fd = urt_accept(server.listener, NULL, NULL, 0, URT_NEVER);

	ck_assert_int_ge(fd, 0);
	close(fd);
	close(client);
}

static void accept_row(void)
{
	enum { N = 100 };
	int client[N];

	for (int i = 0; i < N; i++)
		connect_one(&client[i]);
	for (int i = 0; i < N; i++)
		accept_one(client[i]);
	close(server.listener);
}

static void accept_all(void)
{
	listen_anew();
	accept_row();
}

static void connect_while_it_waits(void *client)
{
	urt_yield();
	connect_one(client);
}

/* Connections that came one by one do not delay those that come together. */
static void accept_one_by_one_then_all(void)
{
	listen_anew();
	for (int i = 0; i < 70; i++) {
		int client = -1;
		struct urt_coro *c = urt_spawn(connect_while_it_waits, &client);
		int fd = urt_accept(server.listener, NULL, NULL, 0, URT_NEVER);

		ck_assert_int_ge(fd, 0);
		urt_join(c);
		close(fd);
		close(client);
	}
	parked_before = counter(URT__STAT_PARKS_IO);
	accept_row();
}

static void (*const rows[])(void) = { read_a_file, open_and_close,
				      send_datagrams, accept_all,
				      accept_one_by_one_then_all };

static void make_row(void *arg)
{
	/* It parks at the ends of slices, and for a few operations that the
	 * kernel defers; on a busy machine more than once. */
	while (parks_of(*(void (**)(void))arg) >= 40)
		;
}

START_TEST(row_of_calls_that_need_not_wait_does_not_park)
{
	void (*fn)(void) = rows[_i];

	run_on(1, make_row, &fn);
}
END_TEST

Suite *bounds_suite(void)
{
	Suite *s = suite_create("bounds");
	TCase *t = tcase_create("blocked");

	tcase_add_test(
		t, call_that_blocks_as_its_coroutine_is_preempted_ends_in_time);
#if defined(__x86_64__)
	tcase_add_test(t, call_goes_on_though_the_signal_comes_at_its_restart);
#endif
	suite_add_tcase(s, t);
	t = tcase_create("computing");
	tcase_add_test(t, sleep_ends_before_all_new_coroutines_have_computed);
	tcase_add_loop_test(
		t,
		coroutines_that_compute_without_a_processor_leave_the_workers_cpu,
		0, 4);
	tcase_add_loop_test(t, run_ends_though_all_signals_are_blocked, 0, 2);
	suite_add_tcase(s, t);
	t = tcase_create("rows");
	tcase_add_loop_test(t, row_of_calls_that_need_not_wait_does_not_park, 0,
			    ARRAY_LEN(rows));
	suite_add_tcase(s, t);
	return s;
}
