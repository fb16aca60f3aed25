/* SPDX-License-Identifier: MIT */
/*
 * The explorer: runs a scenario of a few threads in every order that matters,
 * with every value that C11 lets a load return. How: engine.c (orders),
 * memory.c (values and data races), kernel.c (the system below). This header is
 * for scenarios; explore_in.h is for the explorer itself.
 */
#ifndef EXPLORE_H
#define EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPLORE_THREADS 6

struct explore_scenario {
	const char *name;
	const char *says;    /* the invariant, as a sentence */
	void (*setup)(void); /* once, alone; makes every execution's start */
	void (*thread[EXPLORE_THREADS])(void);
	void (*check)(void);  /* at the end of each execution, alone */
	unsigned bound;	      /* preemptions in an execution; 0: 3 */
	unsigned stale;	      /* loads that return an older store; 0: 2 */
	const char *outcomes; /* all names that check must give; or NULL */
	bool may_block;	      /* threads may be blocked forever at the end */
};

/* Registers a scenario. */
#define SCENARIO(id, ...)                                                     \
	static const struct explore_scenario scenario_##id = { .name = #id,   \
							       __VA_ARGS__ }; \
	static const struct explore_scenario *const scenario_ptr_##id         \
		__attribute__((used, section("explore_scenarios"))) =         \
			&scenario_##id

/* The execution fails unless cond holds. */
#define CHECK(cond)                                                      \
	do {                                                             \
		if (!(cond))                                             \
			explore_fail("CHECK(%s) failed at %s:%d", #cond, \
				     __FILE__, __LINE__);                \
	} while (0)

_Noreturn void explore_fail(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

/* The execution ends here, as when the process dies; check follows. */
_Noreturn void explore_end(void);

/* A number below n; all of them are tried. */
unsigned explore_choose(unsigned n);

/* The thread gives way, as in a loop that waits for another. */
void explore_relax(void);

/* The same for a spin lock: the thread waits until the word is 0. */
void explore_lock_waits(const uint32_t *lock);

/* Called by check: names the end of this execution, in a word. */
void explore_outcome(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

/* Number of the running thread in its scenario. */
unsigned explore_self(void);

/* Memory that lasts for an execution; _name: the name of addresses in reports. */
void *explore_alloc(size_t size);
void explore_name(const void *at, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
