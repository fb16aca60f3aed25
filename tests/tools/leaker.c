// SPDX-License-Identifier: MIT
/*
 * Coroutines of which it is known that nothing can reach what they wait for, or by
 * what it is reached: `leaker NAME`, a row of `populations` below, makes them, says
 * "COUNT leaked" when they wait, and stays. For `urt dump --leaked`.
 *
 * A number is exact only if no other word of the program has the address by chance:
 * so objects are made by coroutines that end, whose stacks nothing looks at, all that
 * makes one of them is not inlined, and their memory was not in use before.
 */
#define _GNU_SOURCE
#include "../../uring_rt/urt.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <signal.h>
#include <unistd.h>

#define N	 7
#define NEVER_NS INT64_C(1000000000000)
#define MS_NS	 INT64_C(1000000)
#define NOINLINE __attribute__((noinline, noclone))

/* So that a call is no tail call: the caller's frame remains. */
#define AFTER_IT() __asm__ volatile("" ::: "memory")

static NOINLINE struct urt_chan *new_chan(void)
{
	return urt_chan_new(sizeof(long), 0);
}

/* ---- what waits ---- */

static void receives(void *ch)
{
	long v;

	urt_chan_recv(ch, &v, URT_NEVER);
	AFTER_IT();
}

static void sends(void *ch)
{
	long v = 0;

	urt_chan_send(ch, &v, URT_NEVER);
	AFTER_IT();
}

static void receives_for_a_time(void *ch)
{
	long v;

	urt_chan_recv(ch, &v, urt_after(NEVER_NS));
	AFTER_IT();
}

static void locks(void *mutex)
{
	urt_mutex_lock(mutex, URT_NEVER);
	AFTER_IT();
}

static void takes(void *sem)
{
	urt_sem_wait(sem, URT_NEVER);
	AFTER_IT();
}

static void write_locks(void *rwlock)
{
	urt_rwlock_wrlock(rwlock, URT_NEVER);
	AFTER_IT();
}

static void awaits(void *group)
{
	urt_waitgroup_wait(group, URT_NEVER);
	AFTER_IT();
}

static void meets(void *barrier)
{
	urt_barrier_wait(barrier, URT_NEVER);
	AFTER_IT();
}

struct signalled {
	struct urt_mutex mutex;
	struct urt_cond cond;
};

static void is_signalled(void *arg)
{
	struct signalled *s = arg;

	urt_mutex_lock(&s->mutex, URT_NEVER);
	urt_cond_wait(&s->cond, &s->mutex, URT_NEVER);
	AFTER_IT();
}

static void selects(void *arg)
{
	struct urt_chan **ch = arg;
	long v;
	struct urt_case cases[] = { { ch[0], URT_RECV, &v, 0 },
				    { ch[1], URT_RECV, &v, 0 } };

	urt_select(cases, 2, URT_NEVER);
	AFTER_IT();
}

static void joins(void *ch)
{
	urt_join(urt_spawn(receives, ch));
	AFTER_IT();
}

/* Waits on ch[0], and would then send on ch[1], which it alone has. */
static void knotted(void *arg)
{
	struct urt_chan **of = arg, *ch[2] = { of[0], of[1] };
	long v = 0;

	urt_chan_recv(ch[0], &v, URT_NEVER);
	urt_chan_send(ch[1], &v, URT_NEVER);
}

/* ---- what keeps ---- */

struct node {
	struct node *next;
	struct urt_chan *ch;
};

static struct urt_chan *volatile in_globals[N];
static struct node *volatile list;
static __thread struct urt_chan *volatile in_tls[N];
static pthread_key_t key;
static struct urt_chan **in_mapping;

/* The only pointers are on its stack. */
static void holds(void *arg)
{
	struct urt_chan *volatile ch = new_chan();
	long v = 0;

	urt_go(receives, ch);
	urt_sleep(NEVER_NS);
	urt_chan_send(ch, &v, URT_NEVER);
}

static struct urt_chan *handed;
static pthread_barrier_t met;

/* ... on a thread's. */
static void *thread_holds(void *arg)
{
	struct urt_chan *volatile ch = handed;

	handed = NULL;
	pthread_barrier_wait(&met);
	for (;;)
		pause();
	return ch;
}

#if defined(__x86_64__)
static NOINLINE void wipe(void)
{
	volatile char below[4096];

	for (unsigned i = 0; i < sizeof(below); i++)
		below[i] = 0;
}
#endif

/* ... in a register that a system call keeps. */
static void *register_holds(void *arg)
{
#if defined(__x86_64__)
	register uintptr_t kept __asm__("r12") = (uintptr_t)handed;

	handed = NULL;
	pthread_barrier_wait(&met);
	wipe();
	for (;;) {
		long result;

		__asm__ volatile("syscall"
				 : "=a"(result), "+r"(kept)
				 : "0"(34 /* pause */)
				 : "rcx", "r11", "memory");
	}
#endif
	return thread_holds(arg);
}

static NOINLINE void start_holder(void *(*fn)(void *))
{
	pthread_t t;

	pthread_barrier_init(&met, NULL, 2);
	handed = new_chan();
	urt_go(receives, handed);
	if (pthread_create(&t, NULL, fn, NULL))
		exit(1);
	pthread_barrier_wait(&met);
}

/* Words on this thread's stack, far below the part that it uses later. */
static struct urt_chan *volatile *unused_stack;

static NOINLINE void find_unused_stack(void)
{
	struct urt_chan *volatile below[2048];

	below[0] = NULL;
	__asm__("" : "=r"(unused_stack) : "0"(below));
}

/* Pointers that a thread leaves on its stack below the part that it uses. */
static struct urt_chan *left[N];

static NOINLINE void leave_pointers(void)
{
	struct urt_chan *volatile below[2048];

	for (int i = 0; i < N; i++)
		below[i] = left[i];
	__asm__ volatile("" : : "r"(below));
}

static void *forgets(void *arg)
{
	leave_pointers();
	memset(left, 0, sizeof(left));
	pthread_barrier_wait(&met);
	for (;;)
		pause();
	return NULL;
}

/* A pointer that a handler leaves on its worker's stack for signals. */
static void on_signal(int sig)
{
	struct urt_chan *volatile ch = handed;

	handed = NULL;
	__asm__ volatile("" : : "r"(&ch));
}

/* As glibc 2.42 makes them: the guard is no mapping of its own. Linux tells since 6.15. */
static bool guard_install(char *page)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	if (fd < 0)
		return false;
	if (madvise(page, 4096, 102 /* MADV_GUARD_INSTALL */) ||
	    pread(fd, &entry, sizeof(entry), (uintptr_t)page / 4096 * 8) < 0)
		entry = 0;
	close(fd);
	return entry >> 58 & 1;
}

/* ---- populations ---- */

static void lose_chan_receives(void)
{
	for (int i = 0; i < N; i++)
		urt_go(receives, new_chan());
}

static void lose_chan_sends(void)
{
	for (int i = 0; i < N; i++)
		urt_go(sends, new_chan());
}

static void lose_mutexes(void)
{
	for (int i = 0; i < N; i++) {
		struct urt_mutex *m = calloc(1, sizeof(*m));

		urt_mutex_lock(m, URT_NEVER);
		urt_go(locks, m);
	}
}

static void lose_semaphores(void)
{
	for (int i = 0; i < N; i++)
		urt_go(takes, calloc(1, sizeof(struct urt_sem)));
}

static void lose_rwlocks(void)
{
	for (int i = 0; i < N; i++) {
		struct urt_rwlock *l = calloc(1, sizeof(*l));

		urt_rwlock_rdlock(l, URT_NEVER);
		urt_go(write_locks, l);
	}
}

static void lose_conditions(void)
{
	for (int i = 0; i < N; i++)
		urt_go(is_signalled, calloc(1, sizeof(struct signalled)));
}

static void lose_wait_groups(void)
{
	for (int i = 0; i < N; i++) {
		struct urt_waitgroup *g = calloc(1, sizeof(*g));

		urt_waitgroup_add(g, 1);
		urt_go(awaits, g);
	}
}

static void lose_barriers(void)
{
	for (int i = 0; i < N; i++) {
		struct urt_barrier *b = calloc(1, sizeof(*b));

		urt_barrier_init(b, 2);
		urt_go(meets, b);
	}
}

static void lose_selects(void)
{
	for (int i = 0; i < N; i++) {
		struct urt_chan **ch = calloc(2, sizeof(*ch));

		ch[0] = new_chan();
		ch[1] = new_chan();
		urt_go(selects, ch);
	}
}

static void lose_joins(void)
{
	for (int i = 0; i < N; i++)
		urt_go(joins, new_chan());
}

static void lose_below_a_stack(void)
{
	for (int i = 0; i < N; i++)
		urt_go(receives, unused_stack[i] = new_chan());
}

static void lose_above_a_guard(void)
{
	size_t size = 1 << 20;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_attr_t a;
	pthread_t t;

	if (!guard_install(p))
		mprotect(p, 4096, PROT_NONE);
	for (int i = 0; i < N; i++)
		urt_go(receives, left[i] = new_chan());
	pthread_barrier_init(&met, NULL, 2);
	pthread_attr_init(&a);
	if (pthread_attr_setstack(&a, p + 4096, size - 4096) ||
	    pthread_create(&t, &a, forgets, NULL))
		exit(1);
	pthread_barrier_wait(&met);
}

static void lose_where_signals_are_handled(void)
{
	struct sigaction sa = { .sa_handler = on_signal,
				.sa_flags = SA_ONSTACK };

	sigaction(SIGUSR1, &sa, NULL);
	for (int i = 0; i < N; i++) {
		urt_go(receives, handed = new_chan());
		raise(SIGUSR1);
	}
}

/* N in a circle: each waits for what the one before it has. */
static void lose_a_circle(void)
{
	struct urt_chan *ch[N];

	for (int i = 0; i < N; i++)
		ch[i] = new_chan();
	for (int i = 0; i < N; i++) {
		struct urt_chan **two = calloc(2, sizeof(*two));

		two[0] = ch[i];
		two[1] = ch[(i + 1) % N];
		urt_go(knotted, two);
	}
	explicit_bzero(ch, sizeof(ch)); /* one that is left hides all */
}

/* A row: each waits for the one before it, and the first one for what nobody has,
 * or, in the other case, for what one has that sleeps. */
static void start_a_row(struct urt_chan *first)
{
	for (int i = 0; i < N; i++) {
		struct urt_chan **two = calloc(2, sizeof(*two));

		two[0] = first;
		two[1] = first = new_chan();
		urt_go(knotted, two);
	}
}

static void lose_a_row(void)
{
	start_a_row(new_chan());
}

static void sleeps_with(void *arg)
{
	struct urt_chan *volatile ch = arg;
	long v = 0;

	urt_sleep(NEVER_NS);
	urt_chan_send(ch, &v, URT_NEVER);
}

static void keep_a_row(void)
{
	struct urt_chan *ch = new_chan();

	urt_go(sleeps_with, ch);
	start_a_row(ch);
}

/* One case is lost, the other one is a global's. */
static void keep_by_select(void)
{
	for (int i = 0; i < N; i++) {
		struct urt_chan **ch = calloc(2, sizeof(*ch));

		ch[0] = new_chan();
		ch[1] = in_globals[i] = new_chan();
		urt_go(selects, ch);
	}
}

static void keep_by_globals(void)
{
	for (int i = 0; i < N; i++)
		urt_go(receives, in_globals[i] = new_chan());
}

static void keep_by_heap(void)
{
	for (int i = 0; i < N; i++) {
		struct node *node = calloc(1, sizeof(*node));

		*node = (struct node){ list, new_chan() };
		list = node;
		urt_go(receives, node->ch);
	}
}

static void keep_by_tls(void)
{
	for (int i = 0; i < N; i++)
		urt_go(receives, in_tls[i] = new_chan());
}

static void keep_by_thread_specific(void)
{
	struct urt_chan **ch = calloc(N, sizeof(*ch));

	pthread_key_create(&key, NULL);
	pthread_setspecific(key, ch);
	for (int i = 0; i < N; i++)
		urt_go(receives, ch[i] = new_chan());
}

static void keep_by_mapping(void)
{
	in_mapping = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < N; i++)
		urt_go(receives, in_mapping[i] = new_chan());
}

/* An object of which only the kernel has the address. */
static struct node *new_node(void)
{
	struct node *node = calloc(1, sizeof(*node));

	node->ch = new_chan();
	urt_go(receives, node->ch);
	return node;
}

static NOINLINE void keep_by_kernel(void)
{
	int set = epoll_create1(EPOLL_CLOEXEC);

	for (int i = 0; i < N; i++) {
		struct node *node = new_node();
		struct epoll_event e = { .data.ptr = node };
		struct sigevent s = { .sigev_notify = SIGEV_SIGNAL,
				      .sigev_signo = SIGUSR2,
				      .sigev_value.sival_ptr = node };
		timer_t timer;

		if (i % 2)
			epoll_ctl(set, EPOLL_CTL_ADD, eventfd(0, EFD_CLOEXEC),
				  &e);
		else
			timer_create(CLOCK_MONOTONIC, &s, &timer);
	}
}

static void keep_by_coroutines(void)
{
	for (int i = 0; i < N; i++)
		urt_go(holds, NULL);
}

static void keep_by_threads(void)
{
	for (int i = 0; i < N; i++)
		start_holder(thread_holds);
}

static void keep_by_registers(void)
{
	for (int i = 0; i < N; i++)
		start_holder(register_holds);
}

static void keep_by_deadlines(void)
{
	for (int i = 0; i < N; i++)
		urt_go(receives_for_a_time, new_chan());
}

/* Memory whose blocks are unknown. The kernel would join it with a stack next to it. */
static NOINLINE char *new_mapping(void)
{
	char *p = mmap(NULL, 3 << 16, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	if (mprotect(p + (1 << 16), 1 << 16, PROT_READ | PROT_WRITE))
		_exit(1);
	return p + (1 << 16);
}

/* An object there. */
static void lose_in_a_mapping(void)
{
	char *p = new_mapping();

	for (int i = 0; i < N; i++)
		urt_go(takes, p + 4096 * (i + 1));
}

/* ... which also holds a pointer to it. */
static void keep_in_a_mapping(void)
{
	char *p = new_mapping();

	for (int i = 0; i < N; i++) {
		((void **)p)[i] = p + 4096 * (i + 1);
		urt_go(takes, ((void **)p)[i]);
	}
}

static const struct population {
	const char *name;
	void (*make)(void);
	int leaked;
} populations[] = {
	{ "chan-receive", lose_chan_receives, N },
	{ "chan-send", lose_chan_sends, N },
	{ "mutex", lose_mutexes, N },
	{ "semaphore", lose_semaphores, N },
	{ "rwlock", lose_rwlocks, N },
	{ "condition", lose_conditions, N },
	{ "wait-group", lose_wait_groups, N },
	{ "barrier", lose_barriers, N },
	{ "select", lose_selects, N },
	{ "join", lose_joins, 2 * N },
	{ "unused-stack", lose_below_a_stack, N },
	{ "guarded-stack", lose_above_a_guard, N },
	{ "signal-stack", lose_where_signals_are_handled, N },
	{ "circle", lose_a_circle, N },
	{ "row", lose_a_row, N },
	{ "kept-row", keep_a_row, 0 },
	{ "kept-select", keep_by_select, 0 },
	{ "globals", keep_by_globals, 0 },
	{ "heap", keep_by_heap, 0 },
	{ "tls", keep_by_tls, 0 },
	{ "thread-specific", keep_by_thread_specific, 0 },
	{ "mapping", keep_by_mapping, 0 },
	{ "kernel", keep_by_kernel, 0 },
	{ "coroutines", keep_by_coroutines, 0 },
	{ "threads", keep_by_threads, 0 },
	{ "registers", keep_by_registers, 0 },
	{ "deadlines", keep_by_deadlines, 0 },
	{ "maybe", lose_in_a_mapping, N },
	{ "untold", keep_in_a_mapping, 0 },
};

static const struct population *wanted;

/* Since 2.41, glibc's calloc hands out blocks that were freed before, to which old
 * pointers are left in the program and the libraries. So these blocks go first. */
static void take_freed_blocks(void)
{
	void *volatile block;

	for (int size = 4096; size; size -= size > 1024 ? 1024 : 16)
		for (int i = 0; i < 16; i++)
			block = calloc(1, size);
	(void)block;
}

#ifdef __SANITIZE_ADDRESS__
/* Otherwise, locals lie in memory of which nobody can tell whose it is: the default
 * of gcc 14. */
const char *__asan_default_options(void);
__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
	return "detect_stack_use_after_return=0";
}
#endif

static void make(void *arg)
{
	take_freed_blocks();
	wanted->make();
}

static void first(void *arg)
{
	urt_join(urt_spawn(make, NULL));
	urt_sleep(20 * MS_NS);
	printf("%d leaked\n", wanted->leaked);
	fflush(stdout);
	urt_sleep(NEVER_NS);
}

static void *run(void *options)
{
	find_unused_stack();
	if (urt_run_with(first, NULL, options))
		exit(1);
	return NULL;
}

/* leaker NAME [WORKERS [thread]]: "thread": all is done by other threads than the
 * first one, so that all objects lie in arenas of these. */
int main(int argc, char **argv)
{
	static char out[BUFSIZ]; /* else it would be the heap's last block */
	struct urt_options o = { .workers = argc > 2 ? atoi(argv[2]) : 1 };
	pthread_t thread;

	setvbuf(stdout, out, _IOFBF, sizeof(out));
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned i = 0; i < sizeof(populations) / sizeof(*populations);
	     i++)
		if (argc > 1 && !strcmp(argv[1], populations[i].name))
			wanted = &populations[i];
		else if (argc == 1)
			puts(populations[i].name);
	if (!wanted)
		return argc > 1;
	if (argc < 4)
		run(&o);
	else if (!pthread_create(&thread, NULL, run, &o))
		pthread_join(thread, NULL);
	return 0;
}
