/* SPDX-License-Identifier: MIT */
/* Definitions for every file: attributes, invariants, the clock. */
#ifndef URT_BASE_H
#define URT_BASE_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define urt__likely(x)	  __builtin_expect(!!(x), 1)
#define urt__unlikely(x)  __builtin_expect(!!(x), 0)
#define URT__NOINLINE	  __attribute__((noinline))
#define URT__COLD	  __attribute__((cold, noinline))
#define URT__CACHELINE	  64
#define URT__ALIGNED	  _Alignas(URT__CACHELINE)
#define URT__ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define urt__container_of(ptr, type, member) \
	((type *)((char *)(ptr)-offsetof(type, member)))

/*
 * A broken invariant. Always compiled in: prints what is broken and where, and
 * aborts. Never for an operating error.
 */
#define URT_BUG_ON(cond)                                     \
	do {                                                 \
		if (urt__unlikely(cond))                     \
			urt__bug(#cond, __FILE__, __LINE__); \
	} while (0)

/*
 * A mistake of the program in a call that cannot return an error: prints what
 * the program did and where, and aborts.
 */
#define URT_MISTAKE_ON(cond, what)                  \
	do {                                        \
		if (urt__unlikely(cond))            \
			urt__mistake("%s", (what)); \
	} while (0)

URT__COLD _Noreturn void urt__mistake(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

/* Prints the caller's backtrace; watch/report.c's, or NULL. */
extern void (*urt__print_where)(void) __attribute__((visibility("hidden")));

URT__COLD _Noreturn void urt__bug(const char *what, const char *file, int line);

/* Prints a line to stderr by one write(2): usable in a signal handler. */
void urt__print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* CLOCK_MONOTONIC, ns. */
int64_t urt__clock_ns(void);

#endif
