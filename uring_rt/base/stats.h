/* SPDX-License-Identifier: MIT */
/*
 * The counters page: how a tool sees the user switches of a running program
 * without stopping or tracing it.
 *
 * Shared memory of fixed layout (share.h): a header, then one slot per worker.
 * Each counter is written by one thread only, by a plain store, and read by
 * anyone at any time; a reader adds up the slots. Slots are cache-line
 * aligned, so counting costs no traffic between CPUs.
 *
 * The page is a memfd named "urt-stats", to be found through /proc/PID/fd. The
 * program also sends it to the socket that URT_STATS_TO names; `urt stat` sets
 * this, so that it misses no program, however short.
 *
 * The header names the counters, so that a tool of another version can still
 * print what it finds. Counters are only ever added at the end. In a program
 * with very many threads, all beyond a number share one slot (sched/idle.c):
 * they add their counts to it when they go to sleep.
 */
#ifndef URT_BASE_STATS_H
#define URT_BASE_STATS_H

#include "base.h"
#include "outside.h"
#include "san.h"
#include "times.h"

#define URT__STATS_MAGIC  UINT64_C(0x31737461742d7275) /* "ur-stat1" */
#define URT__STATS_NAME	  "urt-stats"
#define URT__STATS_TO_ENV "URT_STATS_TO"

/* X(symbol, name) */
#define URT__STATS(X)                                                       \
	X(SWITCHES, "switches")	      /* to a coroutine, in user space */   \
	X(PARKS, "parks")	      /* waits of any kind */               \
	X(PARKS_IO, "parks_io")	      /* ... for an operation */            \
	X(PARKS_SLEEP, "parks_sleep") /* ... for a time */                  \
	X(PARKS_CHAN, "parks_chan")   /* ... for a channel */               \
	X(PARKS_LOCK, "parks_lock")   /* ... for a mutex, group, ... */     \
	X(PARKS_JOIN, "parks_join")   /* ... for a coroutine's end */       \
	X(YIELDS, "yields")                                                 \
	X(SPAWNS, "spawns")                                                 \
	X(EXITS, "exits")                                                   \
	X(STEALS, "steals") /* coroutines taken from another */             \
	X(WAKES, "wakes")   /* sleeping workers woken */                    \
	X(PREEMPTIONS, "preemptions")                                       \
	X(ENTERS, "enters")	  /* io_uring_enter calls */                \
	X(SUBMITTED, "submitted") /* operations handed to the kernel */     \
	X(COMPLETED, "completed") /* completions reaped */                  \
	X(SLEEPS, "sleeps")	  /* enters that were ready to block */     \
	X(TIMERS, "timers")	  /* timers that fired */                   \
	X(OVERFLOWS, "overflows") /* completion queue was full */           \
	X(HANDOFFS, "handoffs")	  /* processors taken from the stuck */     \
	X(DRAINS, "drains")	  /* 0: rings are not drained by signals */ \
	X(BLOCKING, "blocking")	  /* calls on the thread pool */            \
	X(HANDOFFS_TOLD,                                                    \
	  "handoffs_told")    /* ... handoffs, as the kernel told */        \
	X(RESCUES, "rescues") /* another thread saw to the worker's ring */ \
	X(TRIES, "tries")     /* calls that were made at once ... */        \
	X(TRIES_DONE, "tries_done") /* ... and completed at once */         \
	X(TOLD, "told") /* threads that went to sleep, as the kernel told */

enum urt__stat {
#define X(symbol, name) URT__STAT_##symbol,
	URT__STATS(X)
#undef X
		URT__STAT_COUNT,
};

#define URT__STATS_NAME_LEN 16
#define URT__STATS_OPS	    64 /* by io_uring opcode */

struct urt__stats_slot {
	URT__ALIGNED uint64_t counter[URT__STAT_COUNT];
	uint64_t op[URT__STATS_OPS];
	uint64_t time[URT__TIME_COUNT][URT__TIME_CELLS]; /* times.h */
	/* How a reader finds the worker's word in its process; see below. */
	uint64_t word;	  /* the word's address there */
	int64_t word_tls; /* where, from the thread pointer on, that is kept */
	uint32_t tid;	  /* of its thread now; 0: none */
	/* In the first slot: the descriptor, in this process, by which `urt assist`
	 * offers to tell of blocked threads (watch/told.c); 0: none. */
	uint32_t told_socket;
	/* Of hand-offs that the kernel reported: the time from the worker's
	 * going to sleep to the other thread's running. All are in the first
	 * slot, by atomic additions. */
	uint64_t told[URT__TIME_CELLS];
};

/*
 * Where a worker's thread is, for readers outside: the monitor, and a BPF program on
 * sched_switch. If a thread goes to sleep in OUT or KERNEL, and its attention
 * lacks URT__ATT_REVOKE, its processor should go to another thread. The first
 * member of struct urt__worker.
 */
struct urt__word {
	_Atomic uint32_t where;	    /* enum urt__where; its thread writes */
	_Atomic uint32_t attention; /* URT__ATT_*; anyone */
	uint32_t index;		    /* of the worker */
	uint32_t ring; /* bytes from here to two addresses: where the kernel has
	                  the head and the tail of its ring's queue of requests */
};

enum urt__where {
	URT__OUT,    /* of the runtime: in a coroutine's own code */
	URT__IN,     /* the runtime: keeps the processor, and does not block */
	URT__KERNEL, /* in io_uring_enter, to hand over requests */
	URT__ASLEEP, /* in io_uring_enter, to hand over and to wait */
};

/* The reasons for which urt__enter takes its slow path. */
#define URT__ATT_REVOKE 1u /* the processor is being taken, or gone */
#define URT__ATT_YIELD	2u /* the time slice is over */
#define URT__ATT_LOOK	4u /* the loop is to look round at the next switch */

struct urt__stats_page {
	uint64_t magic;
	uint32_t header_size; /* offset of the first slot, bytes */
	uint32_t slot_size;   /* bytes */
	uint32_t slots;
	uint32_t counters; /* per slot; then come ops, then the times */
	uint32_t ops;
	uint32_t pid;
	char name[URT__STAT_COUNT][URT__STATS_NAME_LEN];
};

/* How to read the coroutines (outside.h): after the names; absent if
 * header_size leaves no room for it. */
static inline size_t urt__stats_outside_at(size_t counters)
{
	size_t end = offsetof(struct urt__stats_page, name) +
		     counters * URT__STATS_NAME_LEN;

	return (end + URT__CACHELINE - 1) & ~(size_t)(URT__CACHELINE - 1);
}

static inline struct urt__outside *urt__stats_outside(struct urt__stats_page *p)
{
	return (struct urt__outside *)((char *)p +
				       urt__stats_outside_at(p->counters));
}

/*
 * A new page of `slots` zeroed slots. 0 or -errno. *fd has to stay open for the
 * page to be found; -1: the process may not share memory, and tools find none.
 */
int urt__stats_open(struct urt__stats_page **out, int *fd, unsigned slots);
/* To the tool that started the program, if one did: it looks at once at what it
 * needs for reports (watch/told.c). */
void urt__stats_send(int fd);
void urt__stats_close(struct urt__stats_page *, int fd);

static inline struct urt__stats_slot *
urt__stats_slot(const struct urt__stats_page *p, unsigned i)
{
	return (struct urt__stats_slot *)((char *)p + p->header_size +
					  (size_t)p->slot_size * i);
}

/* The owner adds; relaxed, since a reader only needs a value, not an order. */
static inline void urt__count_add(struct urt__stats_slot *s, enum urt__stat c,
				  uint64_t n)
{
	__atomic_store_n(&s->counter[c], s->counter[c] + n, __ATOMIC_RELAXED);
}

/* The compiler makes three instructions of an atomic load and store. Readers see
 * the old or the new value in either case. */
static inline void urt__count(struct urt__stats_slot *s, enum urt__stat c)
{
#if defined(__x86_64__) && !defined(URT__TSAN) && !defined(URT__EXPLORE)
	__asm__ volatile("incq	%0" : "+m"(s->counter[c])::"cc");
#else
	urt__count_add(s, c, 1);
#endif
}

/* The owner's count so far, for any thread. */
static inline uint64_t urt__counted(const struct urt__stats_slot *s,
				    enum urt__stat c)
{
	return __atomic_load_n(&s->counter[c], __ATOMIC_RELAXED);
}

static inline void urt__count_time(struct urt__stats_slot *s, enum urt__time t,
				   int64_t ns)
{
	uint64_t *cell = &s->time[t][urt__time_cell(ns > 0 ? ns : 0)];

	__atomic_store_n(cell, *cell + 1, __ATOMIC_RELAXED);
}

static_assert(sizeof(struct urt__word) == 16, "read by BPF programs");
static_assert(offsetof(struct urt__stats_page, name) == 32, "read by urt");
static_assert(sizeof(struct urt__stats_slot) % URT__CACHELINE == 0,
	      "workers share no line");

#endif
