// SPDX-License-Identifier: MIT
/*
 * Knowing that a coroutine holds a pthread lock.
 *
 * Preempting it then would be wrong: all that want the lock would wait for a
 * coroutine that does not run (preempt.c). So this file defines the lock
 * functions in front of libc's, as a preloaded library would, and they keep a
 * count for each thread; not for each coroutine, since none may park while it
 * holds a lock. A lock that is taken without these functions is not seen: its
 * owner has to call urt_preempt_disable.
 *
 * A statically linked program has no next definition to look up. There the real
 * functions are libc's names with underscores, found by weak symbols. The rare
 * ones are there if the program is linked with the output of `pkg-config
 * --static --libs uring_rt-static`, which asks for them by -u.
 *
 * ThreadSanitizer defines the functions, too. Under it, the signal preempts
 * nothing, and this file counts nothing.
 */
#define _GNU_SOURCE
#include "watch.h"

#ifdef URT__TSAN

unsigned urt__locks_held(void)
{
	return 1;
}

#else

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <threads.h>
#include <time.h>

static __thread unsigned held __attribute__((tls_model("initial-exec")));

unsigned urt__locks_held(void)
{
	return held;
}

/* X(type of result, name, parameters, arguments, value that means taken) */
#define TAKE(X)                                                              \
	X(int, pthread_mutex_lock, (pthread_mutex_t * l), (l), 0)            \
	X(int, pthread_mutex_trylock, (pthread_mutex_t * l), (l), 0)         \
	X(int, pthread_mutex_timedlock,                                      \
	  (pthread_mutex_t * l, const struct timespec *t), (l, t), 0)        \
	X(int, pthread_mutex_clocklock,                                      \
	  (pthread_mutex_t * l, clockid_t c, const struct timespec *t),      \
	  (l, c, t), 0)                                                      \
	X(int, pthread_rwlock_rdlock, (pthread_rwlock_t * l), (l), 0)        \
	X(int, pthread_rwlock_tryrdlock, (pthread_rwlock_t * l), (l), 0)     \
	X(int, pthread_rwlock_timedrdlock,                                   \
	  (pthread_rwlock_t * l, const struct timespec *t), (l, t), 0)       \
	X(int, pthread_rwlock_clockrdlock,                                   \
	  (pthread_rwlock_t * l, clockid_t c, const struct timespec *t),     \
	  (l, c, t), 0)                                                      \
	X(int, pthread_rwlock_wrlock, (pthread_rwlock_t * l), (l), 0)        \
	X(int, pthread_rwlock_trywrlock, (pthread_rwlock_t * l), (l), 0)     \
	X(int, pthread_rwlock_timedwrlock,                                   \
	  (pthread_rwlock_t * l, const struct timespec *t), (l, t), 0)       \
	X(int, pthread_rwlock_clockwrlock,                                   \
	  (pthread_rwlock_t * l, clockid_t c, const struct timespec *t),     \
	  (l, c, t), 0)                                                      \
	X(int, pthread_spin_lock, (pthread_spinlock_t * l), (l), 0)          \
	X(int, pthread_spin_trylock, (pthread_spinlock_t * l), (l), 0)       \
	X(int, mtx_lock, (mtx_t * l), (l), thrd_success)                     \
	X(int, mtx_trylock, (mtx_t * l), (l), thrd_success)                  \
	X(int, mtx_timedlock, (mtx_t * l, const struct timespec *t), (l, t), \
	  thrd_success)                                                      \
	X(int, ftrylockfile, (FILE * f), (f), 0)

#define GIVE(X)                                                    \
	X(int, pthread_mutex_unlock, (pthread_mutex_t * l), (l))   \
	X(int, pthread_rwlock_unlock, (pthread_rwlock_t * l), (l)) \
	X(int, pthread_spin_unlock, (pthread_spinlock_t * l), (l)) \
	X(int, mtx_unlock, (mtx_t * l), (l))

/* Never below 0: a lock may be older than the count. */
static inline void given(void)
{
	held -= held > 0;
}

/*
 * A lock is counted before it is tried: a signal may come at any moment, also
 * between taking and counting. A robust mutex whose owner died is taken, too.
 */
static inline void tried(int ret, int success)
{
	if (ret != success && ret != EOWNERDEAD)
		given();
}

static void *next(void **cache, const char *name, void *in_libc_a)
{
	void *f = __atomic_load_n(cache, __ATOMIC_RELAXED);

	if (urt__unlikely(!f)) {
		f = dlsym(RTLD_NEXT, name);
		if (!f)
			f = in_libc_a;
		if (!f) {
			urt__print("uring_rt: %s of libc.a is missing: link "
				   "with `pkg-config --static --libs "
				   "uring_rt-static`\n",
				   name);
			abort();
		}
		__atomic_store_n(cache, f, __ATOMIC_RELAXED);
	}
	return f;
}

/* libc.a has the one with three underscores, or the one with two, or both. */
#define NEXT(type, name, params)                            \
	extern type __##name params __attribute__((weak));  \
	extern type ___##name params __attribute__((weak)); \
	static void *cache;                                 \
	type(*real) params = (type(*) params)next(          \
		&cache, #name,                              \
		___##name ? (void *)___##name : (void *)__##name)

#define X(type, name, params, args, success)               \
	URT_API type name params                           \
	{                                                  \
		NEXT(type, name, params);                  \
		type ret;                                  \
                                                           \
		held++;                                    \
		atomic_signal_fence(memory_order_seq_cst); \
		ret = real args;                           \
		tried(ret, success);                       \
		return ret;                                \
	}
TAKE(X)
#undef X

#define X(type, name, params, args)       \
	URT_API type name params          \
	{                                 \
		NEXT(type, name, params); \
		type ret = real args;     \
                                          \
		given();                  \
		return ret;               \
	}
GIVE(X)
#undef X

URT_API void flockfile(FILE *f)
{
	NEXT(void, flockfile, (FILE *));
	held++;
	atomic_signal_fence(memory_order_seq_cst);
	real(f);
}

URT_API void funlockfile(FILE *f)
{
	NEXT(void, funlockfile, (FILE *));
	real(f);
	given();
}

#endif
