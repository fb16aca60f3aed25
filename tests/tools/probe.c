// SPDX-License-Identifier: MIT
/*
 * A program with known demands on the kernel, which the tool counts:
 *
 *	probe exit N         ends with status N
 *	probe signal         kills itself by SIGTERM
 *	probe sleeps N       N times nanosleep of 1 ms; prints the kernel's own counts of
 *	                     its switches, before and after, as "nvcsw nivcsw"
 *	probe calls N        N times sched_get_priority_max, which nobody else calls
 *	probe rare N         N times sched_rr_get_interval, for counts of the whole
 *	                     host: programs next to a test do not call it
 *	probe later N        3 threads, which make N such calls each when stdin ends
 *	probe nops N         N io_uring NOPs, in batches of 8
 *	probe children N     N children, each 10 times sched_get_priority_max
 *	probe threads N      N threads, each 10 times sched_get_priority_max
 *	probe rounds T N     T threads at once, each N times nanosleep; each
 *	                     prints "tid switches" by the kernel's own counters
 *	probe storm N        N children, each with two of their own, all at once
 *	probe execs N        executes itself N times
 *	probe thread-execs N a thread that is not the first executes `probe calls N`
 *	probe calls32 N      N times getppid by the 32-bit table; 77: none here
 *	probe polls N        N io_uring reads of a pipe that is empty at first
 *	probe punts N        N io_uring reads that a worker thread has to do
 *	probe odd-waits N    a thread that renames itself; N sleeps by the 32-bit
 *	                     table; a request that completes N times and continues,
 *	                     as the program does
 *	probe again N        two children of one number, one after the other, which
 *	                     compute N ms as "first" and "second", and sleep 20 ms;
 *	                     77: not here
 *	probe faults FILE    touches the pages of a file that is not in memory
 *	probe preempted N  computes N ms next to a child that computes, too, and until it
 *			   was preempted 5 times
 *	probe yields N       N yields of two coroutines on uring_rt
 *	probe coros N        N coroutines on uring_rt, each: receives from a
 *	                     channel, sleeps 1 ms, reads from a pipe; all of
 *	                     them are waiting before any continues
 *	probe spins N [US]   two coroutines on uring_rt that yield to each other
 *	                     for N ms, sleeping US microseconds now and then
 *	probe route N ROUTE  calls getppid for N ms in that context of uring_rt
 *	probe pages [N [SIZE]] sends N false pages of counters; without N, three
 *	                     processes send descriptors of other kinds without end
 *	probe leaderless     two coroutines on uring_rt sleep, again and again, in a
 *	                     thread that goes on after the first one has exited
 *	probe hang           sleeps until it is signalled; SIGUSR1 ends it with 7
 */
#define _GNU_SOURCE
#include "../../uring_rt/base/share.h"
#include "../../uring_rt/base/stats.h"
#include "../../uring_rt/urt.h"
#include <fcntl.h>
#include <liburing.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long n;

static void print_own_switches(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	printf("%ld %ld\n", ru.ru_nvcsw, ru.ru_nivcsw);
}

/* A sleep that is over before it has begun to wait, for example because the
 * host took the CPU away, makes no switch; few such sleeps happen if each is
 * long. */
static int sleeps(void)
{
	struct timespec ts = { 0, 1000000 };

	print_own_switches();
	for (long i = 0; i < n; i++)
		nanosleep(&ts, NULL);
	print_own_switches();
	return 0;
}

static void *calls(void *arg)
{
	for (long i = 0; i < (arg ? 10 : n); i++)
		syscall(SYS_sched_get_priority_max, 0);
	return NULL;
}

static int rare_calls(void)
{
	struct timespec ts;

	for (long i = 0; i < n; i++)
		sched_rr_get_interval(0, &ts);
	return 0;
}

static void *calls_later(void *arg)
{
	char c;

	while (read(0, &c, 1) > 0)
		;
	return calls(arg);
}

static int later(void)
{
	pthread_t t[3];

	for (int i = 0; i < 3; i++)
		if (pthread_create(&t[i], NULL, calls_later, NULL))
			return 1;
	puts("here");
	fflush(stdout);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	return 0;
}

static int nops(void)
{
	struct io_uring ring;
	struct io_uring_cqe *cqe;

	if (io_uring_queue_init(8, &ring, 0))
		return 77;
	for (long done = 0; done < n;) {
		long batch = n - done < 8 ? n - done : 8;

		for (long i = 0; i < batch; i++)
			io_uring_prep_nop(io_uring_get_sqe(&ring));
		io_uring_submit(&ring);
		for (long i = 0; i < batch; i++) {
			io_uring_wait_cqe(&ring, &cqe);
			io_uring_cqe_seen(&ring, cqe);
		}
		done += batch;
	}
	return 0;
}

static int children(void)
{
	sigset_t chld;

	/* Otherwise the end of an earlier child may interrupt a fork, which is
	 * then made twice: how often would be chance. */
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	for (long i = 0; i < n; i++) {
		if (!fork()) {
			calls("ten");
			_exit(0);
		}
	}
	while (wait(NULL) > 0)
		;
	return 0;
}

static int threads(void)
{
	pthread_t t;

	for (long i = 0; i < n; i++) {
		if (pthread_create(&t, NULL, calls, "ten"))
			return 1;
		pthread_join(t, NULL);
	}
	return 0;
}

static void *round_thread(void *arg)
{
	struct timespec ts = { 0, 50000 };
	struct rusage ru;

	for (long i = 0; i < *(long *)arg; i++)
		nanosleep(&ts, NULL);
	getrusage(RUSAGE_THREAD, &ru);
	printf("%ld %ld\n", syscall(SYS_gettid), ru.ru_nvcsw + ru.ru_nivcsw);
	return NULL;
}

static int rounds(long each)
{
	pthread_t *t = calloc(n, sizeof(*t));
	pthread_attr_t small;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 256 << 10);
	for (long i = 0; i < n; i++)
		if (pthread_create(&t[i], &small, round_thread, &each))
			return 1;
	for (long i = 0; i < n; i++)
		pthread_join(t[i], NULL);
	free(t);
	return 0;
}

static void storm_child(void)
{
	for (int i = 0; i < 2; i++)
		if (!fork()) {
			calls("ten");
			_exit(0);
		}
	calls("ten");
	while (wait(NULL) > 0)
		;
	_exit(0);
}

static int storm(void)
{
	for (long i = 0; i < n; i++)
		if (!fork())
			storm_child();
	while (wait(NULL) > 0)
		;
	return 0;
}

static int execs(char *self)
{
	char left[32];

	snprintf(left, sizeof(left), "%ld", n - 1);
	if (n > 0)
		execl("/proc/self/exe", self, "execs", left, NULL);
	return 0;
}

static void *executes_calls(void *self)
{
	char number[32];

	snprintf(number, sizeof(number), "%ld", n);
	execl("/proc/self/exe", self, "calls", number, NULL);
	_exit(1);
}

static int thread_execs(char *self)
{
	pthread_t t;

	if (pthread_create(&t, NULL, executes_calls, self))
		return 1;
	pause();
	return 1;
}

/* getppid is 64 in the 32-bit table. */
static int calls32(void)
{
#if defined(__x86_64__)
	int status;

	/* Without the table, it is a fault. */
	if (!fork()) {
		long r = 64;

		__asm__ volatile("int $0x80" : "+a"(r) : : "memory");
		_exit(r <= 0);
	}
	if (wait(&status) < 0 || status)
		return 77;
	for (long i = 0; i < n; i++) {
		long r = 64;

		__asm__ volatile("int $0x80" : "+a"(r) : : "memory");
	}
	return 0;
#else
	return 77;
#endif
}

/* Reads of a pipe, which are submitted before there is anything to read. */
static int slow_reads(unsigned flags)
{
	struct io_uring ring;
	struct io_uring_cqe *cqe;
	int fds[2];
	char c;

	if (io_uring_queue_init(8, &ring, 0))
		return 77;
	if (pipe(fds))
		return 1;
	for (long i = 0; i < n; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

		io_uring_prep_read(sqe, fds[0], &c, 1, 0);
		io_uring_sqe_set_flags(sqe, flags);
		io_uring_submit(&ring);
		if (write(fds[1], "x", 1) != 1)
			return 1;
		io_uring_wait_cqe(&ring, &cqe);
		io_uring_cqe_seen(&ring, cqe);
	}
	return 0;
}

/* By the 32-bit table, where 162 is nanosleep; by the other one it is sync. */
static void sleep32(void)
{
#if defined(__x86_64__)
	int *ms = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	long r = 162;

	if (ms == MAP_FAILED)
		return;
	ms[1] = 1000000;
	__asm__ volatile("int $0x80"
			 : "+a"(r)
			 : "b"(ms), "c"(0)
			 : "memory", "r8", "r9", "r10", "r11");
#endif
}

static void *be_renamed(void *arg)
{
	struct timespec ms = { 0, 1000000 };

	prctl(PR_SET_NAME, "first");
	nanosleep(&ms, NULL);
	prctl(PR_SET_NAME, "second");
	nanosleep(&ms, NULL);
	return NULL;
}

/* One request that completes N times, and does not end. */
static int multishot(void)
{
	struct io_uring ring;
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqe;
	int fds[2];
	char c;

	if (io_uring_queue_init(8, &ring, 0))
		return 77;
	if (pipe(fds))
		return 1;
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_poll_multishot(sqe, fds[0], POLLIN);
	io_uring_submit(&ring);
	for (long i = 0; i < n; i++) {
		if (write(fds[1], "x", 1) != 1)
			return 1;
		io_uring_wait_cqe(&ring, &cqe);
		if (!(cqe->flags & IORING_CQE_F_MORE))
			return 1;
		io_uring_cqe_seen(&ring, cqe);
		if (read(fds[0], &c, 1) != 1)
			return 1;
	}
	puts("waiting");
	fflush(stdout);
	for (;;)
		pause();
}

static int odd_waits(void)
{
	pthread_t t;

	if (pthread_create(&t, NULL, be_renamed, NULL))
		return 1;
	pthread_join(t, NULL);
	for (long i = 0; i < n; i++)
		sleep32();
	return multishot();
}

static int again(void)
{
	pid_t tid[] = { 0 };
	struct clone_args args = { .exit_signal = SIGCHLD };

	for (int i = 0; i < 2; i++) {
		pid_t pid = syscall(SYS_clone3, &args, sizeof(args));

		if (pid < 0)
			return 77;
		if (!pid) {
			prctl(PR_SET_NAME, i ? "second" : "first");
			while (clock() < n * (CLOCKS_PER_SEC / 1000))
				;
			usleep(20000); /* not over before it begins */
			_exit(0);
		}
		waitpid(pid, NULL, 0);
		tid[0] = pid;
		args.set_tid = (uintptr_t)tid;
		args.set_tid_size = 1;
	}
	return 0;
}

static int faults(const char *path)
{
	int fd = open(path, O_RDONLY), sum = 0;
	struct rusage before, after;
	struct stat st;
	char *p;

	if (fd < 0 || fstat(fd, &st))
		return 1;
	fsync(fd);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	p = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return 1;
	madvise(p, st.st_size, MADV_RANDOM);
	getrusage(RUSAGE_SELF, &before);
	for (off_t i = 0; i < st.st_size; i += 4096)
		sum += p[i];
	getrusage(RUSAGE_SELF, &after);
	printf("%ld\n", after.ru_majflt - before.ru_majflt);
	return sum == -1;
}

static void compute_ms(long ms)
{
	struct timespec ts;

	do
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	while (ts.tv_sec * 1000 + ts.tv_nsec / 1000000 < ms);
}

static int preempted(void)
{
	pid_t parent = getpid(), child;
	struct rusage u;
	cpu_set_t one;
	long ms = n;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
	child = fork();
	if (!child) {
		for (ms = 1; getppid() == parent; ms++)
			compute_ms(ms);
		_exit(0);
	}
	do {
		compute_ms(ms++);
		getrusage(RUSAGE_SELF, &u);
	} while (u.ru_nivcsw < 5);
	kill(child, SIGKILL);
	wait(NULL);
	return 0;
}

static void yield_half(void *arg)
{
	for (long i = 0; i < n / 2; i++)
		urt_yield();
}

static void yields(void *arg)
{
	struct urt_coro *a = urt_spawn(yield_half, NULL);
	struct urt_coro *b = urt_spawn(yield_half, NULL);

	urt_join(a);
	urt_join(b);
}

static struct urt_chan *gate;
static int gate_pipe[2];
static _Atomic long arrived;

static void coro(void *arg)
{
	char c;

	arrived++;
	if (urt_chan_recv(gate, &c, URT_NEVER) || urt_sleep(1000000))
		exit(1);
	arrived++;
	if (urt_read(gate_pipe[0], &c, 1, URT_NEVER) != 1)
		exit(1);
}

static void until_arrived(long times)
{
	do
		urt_sleep(5000000);
	while (arrived < times);
}

static void coros(void *arg)
{
	struct urt_coro **c = calloc(n, sizeof(*c));

	gate = urt_chan_new(1, 0);
	if (!c || !gate || pipe(gate_pipe))
		exit(1);
	for (long i = 0; i < n; i++)
		c[i] = urt_spawn(coro, NULL);
	until_arrived(n);
	for (long i = 0; i < n; i++)
		urt_chan_send(gate, "x", URT_NEVER);
	until_arrived(2 * n);
	for (long i = 0; i < n; i++)
		urt_write(gate_pipe[1], "x", 1, URT_NEVER);
	for (long i = 0; i < n; i++)
		urt_join(c[i]);
	urt_chan_free(gate);
	free(c);
}

static long pause_us;

static void spin(void *arg)
{
	struct timespec ts;
	int64_t *end_ms = arg;

	do {
		for (int i = 0; i < 100; i++)
			urt_yield();
		if (pause_us)
			urt_sleep(pause_us * 1000);
		clock_gettime(CLOCK_MONOTONIC, &ts);
	} while (ts.tv_sec * 1000 + ts.tv_nsec / 1000000 < *end_ms);
}

static void spins(void *arg)
{
	int64_t end_ms = urt_now() / 1000000 + n;
	struct urt_coro *other = urt_spawn(spin, &end_ms);

	puts("spinning");
	fflush(stdout);
	spin(&end_ms);
	urt_join(other);
}

/* ---- requests: N of known parts, one after another; prints the longest
 * ---- */

#define MS_NS 1000000

/* Inherits the context. */
static void helper(void *arg)
{
	urt_sleep(5 * MS_NS);
	urt_chan_send(gate, "x", URT_NEVER);
	urt_sleep(4 * MS_NS);
	urt_write(gate_pipe[1], "x", 1, URT_NEVER);
}

static void request(void *arg)
{
	long i = (intptr_t)arg;
	struct urt_context ctx = { 0 };
	struct urt_coro *other;
	char text[64], c;

	snprintf(text, sizeof(text), "00-%032lx-%016lx-01", i + 1, i + 1);
	urt_context_from_traceparent(&ctx, text);
	urt_context_add(&ctx, urt_context_key("http.route"),
			i % 2 ? "/odd" : "/even");
	urt_context_set(&ctx);
	other = urt_spawn(helper, NULL);
	if (urt_sleep(2 * MS_NS) || urt_chan_recv(gate, &c, URT_NEVER) ||
	    urt_read(gate_pipe[0], &c, 1, URT_NEVER) != 1)
		exit(1);
	usleep(5000);
	urt_join(other);
	urt_context_set(NULL);
}

static void requests(void *arg)
{
	int64_t longest = 0;

	gate = urt_chan_new(1, 0);
	if (!gate || pipe(gate_pipe))
		exit(1);
	for (long i = 0; i < n; i++) {
		int64_t begin = urt_now();

		urt_join(urt_spawn(request, (void *)(intptr_t)i));
		longest = urt_now() - begin > longest ? urt_now() - begin
						      : longest;
	}
	printf("longest %lld\n", (long long)longest);
}

/* One coroutine works for a request, one has ended, one runs. */
static void stay(void *arg)
{
	n = 1;
	urt_spawn(request, NULL);
	urt_spawn(yield_half, NULL);
	gate = urt_chan_new(1, 0);
	if (pipe(gate_pipe))
		exit(1);
	urt_yield();
	puts("there");
	fflush(stdout);
	for (;;)
		urt_sleep(MS_NS);
}

static void naps(void *arg)
{
	for (;;)
		urt_sleep(MS_NS);
}

static void two_naps(void *arg)
{
	urt_go(naps, NULL);
	naps(NULL);
}

static void *run_two_naps(void *arg)
{
	urt_run(two_naps, NULL);
	return NULL;
}

static int leaderless(void)
{
	pthread_t t;

	if (pthread_create(&t, NULL, run_two_naps, NULL))
		return 1;
	pthread_exit(NULL);
}

static void on_usr1(int sig)
{
	_exit(7);
}

/* A page that claims to be in use, and is made of holes. */
static int false_page(size_t size)
{
	int fd = urt__share_new(URT__STATS_NAME, size);
	struct urt__stats_page *p =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		exit(1);
	*p = (struct urt__stats_page){ .magic = URT__STATS_MAGIC,
				       .header_size = 2048,
				       .slot_size = 1024,
				       .slots = size / 1024 - 2,
				       .counters = 1 };
	strcpy(p->name[0], "switches");
	munmap(p, 4096);
	return fd;
}

static int pages(size_t size)
{
	pid_t parent = getpid();

	for (int i = 0; i < 3 && !n; i++)
		if (!fork()) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			while (getppid() == parent)
				urt__share_send(0, URT__STATS_TO_ENV);
			_exit(0);
		}
	while (!n)
		pause();
	for (long i = 0; i < n; i++) {
		int fd = false_page(size);

		while (urt__share_send(fd, URT__STATS_TO_ENV))
			usleep(1000); /* until urt has taken some */
		close(fd);
	}
	return 0;
}

static void route(void *name)
{
	struct urt_context ctx = { .span_id = { 1 }, .trace_id = { 1 } };
	int64_t end = urt_now() + n * 1000000;

	urt_context_add(&ctx, urt_context_key("http.route"), name);
	urt_context_set(&ctx);
	while (urt_now() < end)
		syscall(SYS_getppid);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	n = argc > 2 ? atol(argv[2]) : 0;
	if (!strcmp(what, "exit"))
		return n;
	if (!strcmp(what, "signal"))
		return kill(getpid(), SIGTERM);
	if (!strcmp(what, "sleeps"))
		return sleeps();
	if (!strcmp(what, "calls"))
		return calls(NULL) != NULL;
	if (!strcmp(what, "rare"))
		return rare_calls();
	if (!strcmp(what, "later"))
		return later();
	if (!strcmp(what, "nops"))
		return nops();
	if (!strcmp(what, "children"))
		return children();
	if (!strcmp(what, "threads"))
		return threads();
	if (!strcmp(what, "rounds"))
		return rounds(argc > 3 ? atol(argv[3]) : 1);
	if (!strcmp(what, "storm"))
		return storm();
	if (!strcmp(what, "execs"))
		return execs(argv[0]);
	if (!strcmp(what, "thread-execs"))
		return thread_execs(argv[0]);
	if (!strcmp(what, "calls32"))
		return calls32();
	if (!strcmp(what, "polls"))
		return slow_reads(0);
	if (!strcmp(what, "punts"))
		return slow_reads(IOSQE_ASYNC);
	if (!strcmp(what, "pages"))
		return pages(argc > 3 ? atol(argv[3]) : 1 << 20);
	if (!strcmp(what, "odd-waits"))
		return odd_waits();
	if (!strcmp(what, "again"))
		return again();
	if (!strcmp(what, "faults"))
		return faults(argc > 2 ? argv[2] : "");
	if (!strcmp(what, "preempted"))
		return preempted();
	if (!strcmp(what, "yields"))
		return urt_run(yields, NULL) ? 1 : 0;
	if (!strcmp(what, "coros"))
		return urt_run(coros, NULL) ? 1 : 0;
	if (!strcmp(what, "requests"))
		return urt_run(requests, NULL) ? 1 : 0;
	if (!strcmp(what, "requests-stay"))
		return urt_run(stay, NULL) ? 1 : 0;
	if (!strcmp(what, "leaderless"))
		return leaderless();
	if (!strcmp(what, "route"))
		return urt_run(route, argc > 3 ? argv[3] : "") ? 1 : 0;
	pause_us = argc > 3 ? atol(argv[3]) : 0;
	if (!strcmp(what, "spins"))
		return urt_run(spins, NULL) ? 1 : 0;
	signal(SIGUSR1, on_usr1);
	puts("hanging");
	fflush(stdout);
	for (;;)
		pause();
}
