// SPDX-License-Identifier: MIT
/*
 * -fsanitize=thread makes each access to memory, and each atomic operation, a
 * call. libtsan defines these functions to watch; here they are defined for the
 * explorer.
 */
#include "explore_in.h"
#include <stdlib.h>
#include <string.h>

#define PC    __builtin_return_address(0)
#define TABLE 4096

void __tsan_init(void);
void __tsan_init(void)
{
}

void __tsan_func_entry(void *);
void __tsan_func_entry(void *pc)
{
	(void)pc;
}

void __tsan_func_exit(void);
void __tsan_func_exit(void)
{
}

/* ---- plain accesses ---------------------------------------------------- */

#define PLAIN(name, size, write)                        \
	void __tsan_##name(void *);                     \
	void __tsan_##name(void *p)                     \
	{                                               \
		x_plain((uintptr_t)p, size, write, PC); \
	}
#define PLAINS(size)                             \
	PLAIN(read##size, size, false)           \
	PLAIN(write##size, size, true)           \
	PLAIN(unaligned_read##size, size, false) \
	PLAIN(unaligned_write##size, size, true) \
	PLAIN(volatile_read##size, size, false)  \
	PLAIN(volatile_write##size, size, true)

PLAINS(1)
PLAINS(2)
PLAINS(4)
PLAINS(8)
PLAINS(16)

void __tsan_read_range(void *, size_t);
void __tsan_read_range(void *p, size_t n)
{
	x_plain((uintptr_t)p, n, false, PC);
}

void __tsan_write_range(void *, size_t);
void __tsan_write_range(void *p, size_t n)
{
	x_plain((uintptr_t)p, n, true, PC);
}

/* The compiler does not instrument these; a sanitizer has its own versions. */
void *k_memcpy(void *, const void *, size_t);
void *memcpy(void *, const void *, size_t);
void *k_memcpy(void *to, const void *from, size_t n)
{
	x_plain((uintptr_t)from, n, false, PC);
	x_plain((uintptr_t)to, n, true, PC);
	return memcpy(to, from, n);
}

void *k_memset(void *, int, size_t);
void *memset(void *, int, size_t);
void *k_memset(void *to, int c, size_t n)
{
	/* Of a table for all possible workers, only the beginning is used. */
	x_plain((uintptr_t)to, n < TABLE ? n : TABLE, true, PC);
	return memset(to, c, n);
}

/* ---- atomic operations ------------------------------------------------- */

static uint64_t set(uint64_t old, uint64_t v)
{
	(void)old;
	return v;
}

static uint64_t add(uint64_t old, uint64_t v)
{
	return old + v;
}

static uint64_t sub(uint64_t old, uint64_t v)
{
	return old - v;
}

static uint64_t and (uint64_t old, uint64_t v)
{
	return old & v;
}

static uint64_t or (uint64_t old, uint64_t v)
{
	return old | v;
}

static uint64_t xor (uint64_t old, uint64_t v) { return old ^ v; }

#define RMW(bits, name, fn)                                                   \
	uint##bits##_t __tsan_atomic##bits##_##name(uint##bits##_t *,         \
						    uint##bits##_t, int);     \
	uint##bits##_t __tsan_atomic##bits##_##name(uint##bits##_t *p,        \
						    uint##bits##_t v, int mo) \
	{                                                                     \
		return x_rmw((uintptr_t)p, bits / 8, fn, v, mo, PC);          \
	}

#define CAS(bits, name, weak)                                                  \
	int __tsan_atomic##bits##_compare_exchange_##name(                     \
		uint##bits##_t *, uint##bits##_t *, uint##bits##_t, int, int); \
	int __tsan_atomic##bits##_compare_exchange_##name(                     \
		uint##bits##_t *p, uint##bits##_t *old, uint##bits##_t v,      \
		int mo, int fail_mo)                                           \
	{                                                                      \
		uint64_t was = *old;                                           \
		bool done = x_cas((uintptr_t)p, bits / 8, &was, v, mo,         \
				  fail_mo, weak, PC);                          \
                                                                               \
		if (!done)                                                     \
			*old = was;                                            \
		return done;                                                   \
	}

#define ATOMICS(bits)                                                         \
	uint##bits##_t __tsan_atomic##bits##_load(const uint##bits##_t *,     \
						  int);                       \
	uint##bits##_t __tsan_atomic##bits##_load(const uint##bits##_t *p,    \
						  int mo)                     \
	{                                                                     \
		return x_load((uintptr_t)p, bits / 8, mo, PC);                \
	}                                                                     \
	void __tsan_atomic##bits##_store(uint##bits##_t *, uint##bits##_t,    \
					 int);                                \
	void __tsan_atomic##bits##_store(uint##bits##_t *p, uint##bits##_t v, \
					 int mo)                              \
	{                                                                     \
		x_store((uintptr_t)p, bits / 8, v, mo, PC);                   \
	}                                                                     \
	RMW(bits, exchange, set)                                              \
	RMW(bits, fetch_add, add)                                             \
	RMW(bits, fetch_sub, sub)                                             \
	RMW(bits, fetch_and, and)                                             \
	RMW(bits, fetch_or, or)                                               \
	RMW(bits, fetch_xor, xor)                                             \
	CAS(bits, strong, false)                                              \
	CAS(bits, weak, true)

	ATOMICS(8) ATOMICS(16) ATOMICS(32) ATOMICS(64)

		void __tsan_atomic_thread_fence(int);
void __tsan_atomic_thread_fence(int mo)
{
	x_fence(mo, PC);
}

void __tsan_atomic_signal_fence(int);
void __tsan_atomic_signal_fence(int mo)
{
	(void)mo;
}
