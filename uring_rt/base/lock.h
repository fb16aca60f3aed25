/* SPDX-License-Identifier: MIT */
/*
 * The lock inside channels, mutexes and queues: held for a few dozen
 * instructions, and by design across one switch between coroutines (see
 * sched/sched.h: the context that is switched to may release a lock, so a lock
 * belongs to no thread). Zero is unlocked: static initialisers work.
 *
 * A holder can lose its CPU to the kernel, so the spin is bounded and then
 * gives the CPU away. Never held across anything that can block.
 *
 * urt__obj_lock protects objects that only coroutines touch (channels, mutexes,
 * ...). A thread that touches such an object holds a processor, so in a run
 * with only one processor these locks have no second user. Such a run does not
 * take them, which saves an uncontended atomic exchange (5 ns) twice a call.
 */
#ifndef URT_BASE_LOCK_H
#define URT_BASE_LOCK_H

#include "base.h"
#include "san.h"
#include <sched.h>

#ifdef URT__EXPLORE
void explore_relax(void);
void explore_lock_waits(const uint32_t *lock);
#endif

static inline void urt__cpu_relax(void)
{
#if defined(URT__EXPLORE) /* tests/explore: another thread's turn */
	explore_relax();
#elif defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb");
#endif
}

static inline void urt__lock_relax(const uint32_t *lock, unsigned spins)
{
#ifdef URT__EXPLORE
	(void)spins;
	explore_lock_waits(lock);
#else
	(void)lock;
	if (spins % 128 == 127)
		sched_yield();
	else
		urt__cpu_relax();
#endif
}

static URT__COLD __attribute__((unused)) void urt__lock_slow(uint32_t *lock)
{
	for (unsigned spins = 0;; spins++) {
		if (!__atomic_load_n(lock, __ATOMIC_RELAXED) &&
		    !__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE))
			return;
		urt__lock_relax(lock, spins);
	}
}

/* A full fence, between a store and a load of different words. TSan does not
 * model fences; under TSan, an atomic operation on a word of its own replaces
 * the fence. */
static inline void urt__fence(void)
{
#ifdef URT__TSAN
	static _Atomic int word;

	atomic_fetch_add(&word, 1);
#else
	atomic_thread_fence(memory_order_seq_cst);
#endif
}

/* Acquire; pairs with the release in urt__unlock. */
static inline void urt__lock(uint32_t *lock)
{
	if (urt__unlikely(__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE)))
		urt__lock_slow(lock);
}

static inline void urt__unlock(uint32_t *lock)
{
	__atomic_store_n(lock, 0, __ATOMIC_RELEASE);
}

/* Whether the run has several processors. Changes only between runs. */
extern bool urt__shared __attribute__((visibility("hidden")));

static inline void urt__obj_lock(uint32_t *lock)
{
	if (urt__shared)
		urt__lock(lock);
}

static inline void urt__obj_unlock(uint32_t *lock)
{
	if (urt__shared)
		urt__unlock(lock);
}

#endif
