// SPDX-License-Identifier: MIT
/*
 * The explorer's model of the system below the runtime. It replaces base/sys.c,
 * and the libc functions by which threads wait; the Makefile renames those in
 * the runtime's objects. A call of the kernel is a step; a call that waits
 * makes its step when it can continue. Rings: kring.c.
 */
#define _GNU_SOURCE
#include "kernel.h"
#include "../../uring_rt/base/sys.h"
#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define PC __builtin_return_address(0)

struct urt__sys_fault urt__sys_faults[URT__SYS_KINDS];
bool urt__shared;

/* The futex on which each thread waits; NULL: woken. In the scenario's memory. */
static const uint32_t *futex_of[EXPLORE_THREADS];
static struct x_object futexes; /* for steps that wait or wake */
bool k_no_membarrier;		/* planted: membarrier fences nothing */
int64_t k_clock_step_ns = 50000;

void x_kernel_begin(void)
{
}

/* ---- memory ------------------------------------------------------------ */

void *urt__sys_alloc(size_t size)
{
	return x_arena_alloc(size, 16);
}

void *urt__sys_zalloc(size_t size)
{
	return x_arena_alloc(size, 16);
}

void *urt__sys_alloc_lines(size_t size)
{
	return x_arena_alloc(size, URT__CACHELINE);
}

void *urt__sys_realloc(void *p, size_t size)
{
	void *q = x_arena_alloc(size, 16);

	if (p) /* its size is unknown; the arena continues after it */
		memcpy(q, p, size);
	return q;
}

void k_free(void *);
void k_free(void *p)
{
	if (p)
		x_freed((uintptr_t)p, 8, PC);
}

#define LARGE (1u << 20)

int urt__sys_mmap(void **out, size_t size, int prot, int flags, int fd,
		  off_t offset)
{
	(void)prot;
	if (fd >= 0 && k_ring_mmap(out, size, fd, offset))
		return 0;
	if (flags & MAP_STACK)
		*out = x_arena_stacks(size, k_stack_stride, 4096);
	else if (size > LARGE) /* a table: only its beginning is used */
		*out = x_arena_alloc(4096, 4096);
	else
		*out = x_arena_alloc(size, 4096);
	return 0;
}

size_t k_stack_stride = 1;

int urt__sys_madvise(void *addr, size_t size, int advice)
{
	(void)addr, (void)size, (void)advice;
	return 0;
}

int urt__sys_mprotect(void *addr, size_t size, int prot)
{
	(void)addr, (void)size, (void)prot;
	return 0;
}

ssize_t urt__sys_process_madvise(int pidfd, const struct iovec *v, size_t n,
				 int advice)
{
	ssize_t sum = 0;

	(void)pidfd, (void)advice;
	for (size_t i = 0; i < n; i++)
		sum += v[i].iov_len;
	return sum;
}

/* ---- calls without effect in the model --------------------------------- */

int urt__sys_memfd(const char *name)
{
	(void)name;
	return 100;
}

int urt__sys_ftruncate(int fd, off_t size)
{
	(void)fd, (void)size;
	return 0;
}

int urt__sys_pidfd(pid_t pid)
{
	(void)pid;
	return -1;
}

int urt__sys_sigaltstack(const stack_t *new, stack_t *old)
{
	(void)new, (void)old;
	return 0;
}

int urt__sys_timer_start(timer_t t)
{
	(void)t;
	return 0;
}

int urt__sys_socket(int domain, int type, int protocol)
{
	(void)domain, (void)type, (void)protocol;
	return -ENOSYS;
}

int urt__sys_pipe(int fds[2], int flags)
{
	(void)fds, (void)flags;
	return -ENOSYS;
}

int urt__sys_own_sockets(int fds[2], int type)
{
	(void)fds, (void)type;
	return -ENOSYS;
}

int urt__sys_own_pipe(int fds[2], int flags)
{
	return urt__sys_pipe(fds, flags);
}

int urt__sys_spawn(pid_t *pid, const char *file,
		   const posix_spawn_file_actions_t *actions,
		   const posix_spawnattr_t *attr, char *const argv[],
		   char *const env[])
{
	(void)pid, (void)file, (void)actions, (void)attr, (void)argv, (void)env;
	return -ENOSYS;
}

bool urt__sys_fails(enum urt__sys_kind kind)
{
	(void)kind;
	return false;
}

/* ---- time, and messages ------------------------------------------------ */

/* Each look moves the clock on, so that a loop that waits for a time ends. */
int64_t urt__clock_ns(void)
{
	if (x_self)
		x_now_ns += k_clock_step_ns;
	return x_now_ns;
}

int64_t k_after(int64_t s, int64_t ns)
{
	if (s > (INT64_MAX - x_now_ns - ns) / 1000000000)
		return INT64_MAX;
	return x_now_ns + s * 1000000000 + ns;
}

void urt__print(const char *format, ...)
{
	va_list ap;

	if (!x_options.replay)
		return;
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
}

void (*urt__print_where)(void);

void urt__mistake(const char *format, ...)
{
	explore_fail("the runtime blames the scenario: %s", format);
	abort();
}

void urt__bug(const char *what, const char *file, int line)
{
	explore_fail("URT_BUG_ON(%s) at %s:%d", what, file, line);
}

/* ---- threads that wait ------------------------------------------------- */

int urt__sys_membarrier(int command)
{
	if (command == MEMBARRIER_CMD_PRIVATE_EXPEDITED && x_self &&
	    !k_no_membarrier)
		x_membarrier(PC);
	return 0;
}

static bool never(void *arg)
{
	(void)arg;
	return false;
}

void k_sleep(int64_t ns)
{
	x_block(PC, 0, never, NULL, x_now_ns + ns, "sleeps");
}

int k_sched_yield(void);
int k_sched_yield(void)
{
	explore_relax();
	return 0;
}

static bool is_woken(void *arg)
{
	return !futex_of[x_index((struct x_thread *)arg)];
}

/* Checks the word and lists the thread in one step. */
static long futex_wait(uint32_t *word, uint32_t value,
		       const struct timespec *ts, const void *pc)
{
	int64_t until_ns = INT64_MAX;
	unsigned me = explore_self();

	if (ts)
		until_ns = k_after(ts->tv_sec, ts->tv_nsec);
	x_self->fresh = true;
	if (x_load((uintptr_t)word, 4, __ATOMIC_RELAXED, pc) != value) {
		errno = EAGAIN;
		return -1;
	}
	x_touch(&futexes, true);
	futex_of[me] = word;
	x_block(pc, (uintptr_t)word, is_woken, x_self, until_ns, "futex wait");
	x_sync((uintptr_t)word, true);
	if (!futex_of[me])
		return 0;
	x_touch(&futexes, true);
	futex_of[me] = NULL;
	errno = ETIMEDOUT;
	return -1;
}

static long futex_wake(const uint32_t *word, int n, const void *pc)
{
	long woken = 0;

	x_point(X_CALL, pc, (uintptr_t)word)->note = "futex wake";
	x_sync((uintptr_t)word, true);
	x_touch(&futexes, true);
	for (unsigned i = 0; i < x_nr_threads && woken < n; i++)
		if (futex_of[i] == word) {
			futex_of[i] = NULL;
			woken++;
		}
	return woken;
}

long k_syscall(long number, ...);
long k_syscall(long number, ...)
{
	va_list ap;
	long a[4];

	va_start(ap, number);
	for (unsigned i = 0; i < 4; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (!x_self)
		return 0;
	if (number == SYS_futex && (a[1] & FUTEX_CMD_MASK) == FUTEX_WAIT)
		return futex_wait((uint32_t *)a[0], a[2], (void *)a[3], PC);
	if (number == SYS_futex && (a[1] & FUTEX_CMD_MASK) == FUTEX_WAKE)
		return futex_wake((uint32_t *)a[0], a[2], PC);
	if (number == SYS_tgkill)
		return k_signal(a[1], PC);
	explore_fail("system call %ld is not simulated", number);
}

/* ---- new threads: each becomes a waiting thread of the scenario -------- */

static struct {
	void *(*fn)(void *);
	void *arg;
	bool ended;
} births[EXPLORE_THREADS];
static unsigned nr_births, nr_taken, births_ended;

int urt__sys_thread(pthread_t *t, const pthread_attr_t *attr,
		    void *(*fn)(void *), void *arg)
{
	(void)attr;
	if (!x_self || nr_births == x_threads_of(k_new_thread))
		return -EAGAIN;
	x_point(X_CALL, PC, (uintptr_t)births)->note = "makes a thread";
	x_sync((uintptr_t)births, true);
	births[nr_births].fn = fn;
	births[nr_births].arg = arg;
	*t = nr_births++;
	return 0;
}

static bool is_born(void *arg)
{
	(void)arg;
	return nr_taken < nr_births || births_ended;
}

void k_new_thread(void)
{
	unsigned i;

	x_block(PC, (uintptr_t)births, is_born, NULL, INT64_MAX, "is made");
	x_sync((uintptr_t)births, true);
	if (nr_taken == nr_births)
		return;
	i = nr_taken++;
	births[i].fn(births[i].arg);
	x_point(X_CALL, PC, (uintptr_t)births)->note = "ends";
	x_sync((uintptr_t)&births[i], true);
	births[i].ended = true;
}

static bool has_ended(void *arg)
{
	return births[(uintptr_t)arg].ended;
}

int k_join(pthread_t, void **);
int k_join(pthread_t t, void **result)
{
	(void)result;
	x_block(PC, (uintptr_t)&births[t], has_ended, (void *)t, INT64_MAX,
		"joins a thread");
	x_sync((uintptr_t)&births[t], true);
	return 0;
}

void k_no_more_threads(void)
{
	x_point(X_CALL, PC, (uintptr_t)births)->note = "makes no more threads";
	x_sync((uintptr_t)births, true);
	births_ended = true;
}

/* ---- pthread locks: only their first words are used -------------------- */

static bool is_free(void *lock)
{
	return !*(uint32_t *)lock;
}

int k_mutex_lock(pthread_mutex_t *);
int k_mutex_lock(pthread_mutex_t *m)
{
	if (!x_self)
		return 0;
	x_block(PC, (uintptr_t)m, is_free, m, INT64_MAX, "locks pthread mutex");
	x_sync((uintptr_t)m, true);
	*(uint32_t *)m = 1;
	return 0;
}

int k_mutex_unlock(pthread_mutex_t *);
int k_mutex_unlock(pthread_mutex_t *m)
{
	if (!x_self)
		return 0;
	x_point(X_CALL, PC, (uintptr_t)m)->note = "unlocks pthread mutex";
	x_sync((uintptr_t)m, true);
	*(uint32_t *)m = 0;
	return 0;
}

int k_mutex_init(pthread_mutex_t *, const pthread_mutexattr_t *);
int k_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attr)
{
	(void)attr;
	*(uint32_t *)m = 0;
	return 0;
}

/* A condition: the tickets given to waiters, and those called. */
struct tickets {
	uint32_t given, called;
};

struct cond_wait {
	struct tickets *t;
	uint32_t mine;
};

static bool is_called(void *arg)
{
	struct cond_wait *w = arg;

	return w->t->called > w->mine;
}

int k_cond_timedwait(pthread_cond_t *, pthread_mutex_t *,
		     const struct timespec *);
int k_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m,
		     const struct timespec *ts)
{
	struct cond_wait w = { (struct tickets *)c, 0 };
	int64_t until_ns = INT64_MAX;
	bool in_time;

	if (ts)
		until_ns = ts->tv_sec * 1000000000ll + ts->tv_nsec;
	w.mine = w.t->given++;
	k_mutex_unlock(m);
	in_time = x_block(PC, (uintptr_t)c, is_called, &w, until_ns,
			  "waits for pthread condition");
	if (!in_time && w.t->called <= w.mine)
		w.t->called++; /* so that no later signal is spent on it */
	k_mutex_lock(m);
	return in_time ? 0 : ETIMEDOUT;
}

int k_cond_wait(pthread_cond_t *, pthread_mutex_t *);
int k_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
	return k_cond_timedwait(c, m, NULL);
}

int k_cond_signal(pthread_cond_t *);
int k_cond_signal(pthread_cond_t *c)
{
	struct tickets *t = (struct tickets *)c;

	if (!x_self)
		return 0;
	x_point(X_CALL, PC, (uintptr_t)c)->note = "signals pthread condition";
	x_sync((uintptr_t)c, true);
	t->called += t->called < t->given;
	return 0;
}

int k_cond_broadcast(pthread_cond_t *);
int k_cond_broadcast(pthread_cond_t *c)
{
	struct tickets *t = (struct tickets *)c;

	if (!x_self)
		return 0;
	x_point(X_CALL, PC, (uintptr_t)c)->note = "broadcasts";
	x_sync((uintptr_t)c, true);
	t->called = t->given;
	return 0;
}

int k_cond_init(pthread_cond_t *, const pthread_condattr_t *);
int k_cond_init(pthread_cond_t *c, const pthread_condattr_t *attr)
{
	(void)attr;
	memset(c, 0, sizeof(*c));
	return 0;
}
