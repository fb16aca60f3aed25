/* SPDX-License-Identifier: MIT */
/* Interfaces between the files of the explorer. */
#ifndef EXPLORE_IN_H
#define EXPLORE_IN_H

#include "../../uring_rt/exec/context.h"
#include "explore.h"

#define X_CLOCKS (EXPLORE_THREADS + 1)
#define X_SC \
	EXPLORE_THREADS /* the order of seq_cst operations, as a
				    clock of its own */
#define X_STEPS 20000	/* most of an execution; more: an endless loop */

/* How far each thread is known to have come. */
struct x_clock {
	uint32_t at[8];
};

static inline void x_join(struct x_clock *to, const struct x_clock *from)
{
	for (unsigned i = 0; i < 8; i++)
		if (to->at[i] < from->at[i])
			to->at[i] = from->at[i];
}

/* ---- steps: actions of threads that others can see ---- */

enum x_kind {
	X_START,
	X_LOAD,
	X_STORE,
	X_RMW,
	X_CAS,
	X_FENCE,
	X_MEMBARRIER,
	X_CALL, /* of the kernel */
	X_END,
};

/* An object on which the order of two steps may make a difference. */
struct x_object {
	uint32_t gen;		  /* its execution */
	uint32_t wstep;		  /* last write: step + 1 */
	struct x_clock wclock;	  /* ... and all steps up to that */
	uint32_t rstep[X_CLOCKS]; /* reads since then */
	struct x_clock rclock;
};

struct x_step {
	uint8_t thread, kind, order;
	bool stale;
	int32_t branch; /* at which the thread was chosen; -1: no choice */
	uint32_t nth;	/* its number in its thread */
	const void *pc;
	uintptr_t addr;
	uint64_t value, old;
	const char *note;
};

/* ---- engine.c ---- */

enum x_state { X_READY, X_BLOCKED, X_DONE };

struct x_thread {
	struct urt__ctx ctx;
	char *stack;
	enum x_state state;
	bool (*may_go)(void *); /* while blocked */
	void *may_go_arg;
	int64_t until_ns; /* ... or until then; INT64_MAX: never */
	bool timed_out;
	bool relaxed;	      /* waits for others to continue */
	const uint32_t *lock; /* waits until this word is 0; or NULL */
	bool fresh;	      /* its next load returns the newest store */
	void *tls_worker, *tls_serving;
	unsigned steps;
	struct x_clock dpor; /* steps that come before its next one in every
				equivalent order */
	/* memory.c's */
	struct x_clock hb;	      /* happens before */
	struct x_clock view;	      /* ... and is visible by fences */
	struct x_clock acq, acq_view; /* by relaxed loads: for acquire fences */
	struct x_clock rel, rel_view; /* at the last release fence */
	/* A plain store that a mutation takes back. */
	char *lost;
	size_t lost_size;
	char lost_was[16];
	/* A store that a mutation holds back. */
	bool held;
	uintptr_t held_addr;
	uint64_t held_value;
	int held_size, held_order;
	const void *held_pc;
};

extern struct x_thread *x_self; /* NULL: nothing is being explored */
extern struct x_thread x_threads[EXPLORE_THREADS];
extern unsigned x_nr_threads;
extern uint32_t x_gen; /* execution */
extern int64_t x_now_ns;
/* Preemptions, and loads of older stores, that an execution may have. */
extern unsigned x_bound, x_stale;

static inline unsigned x_index(const struct x_thread *t)
{
	return t - x_threads;
}

/*
 * The running thread is about to do something that others can see; another one
 * may be chosen to go first. Returns, in the thread's turn, a new step, in
 * which the caller describes the action.
 */
struct x_step *x_point(enum x_kind, const void *pc, uintptr_t addr);
/* The same, once may_go(arg) holds; false: until_ns has come first. */
bool x_block(const void *pc, uintptr_t addr, bool (*may_go)(void *), void *arg,
	     int64_t until_ns, const char *what);
/* The step touches an object; steps that touch the same are tried in both orders. */
void x_touch(struct x_object *, bool write);
/* The step sends a signal to that thread. */
void x_touch_signal(unsigned thread);
/* A number below n; all are tried, 0 first. */
unsigned x_choose(unsigned n);
bool x_stale_left(void);
void x_stale_used(void);

/* Runs one execution; false: it failed, for the reason in message. */
bool x_execute(char *message, size_t size, uint64_t *steps);
void x_scenario_begin(const struct explore_scenario *);
unsigned x_threads_of(void (*body)(void)); /* of the scenario: how many */
void x_trace(const char *message, const char *replay); /* last execution */

/* ---- search.c ---- */

struct x_options {
	unsigned bound, stale; /* for scenarios without their own */
	bool all;	       /* no reduction */
	bool trap;	       /* stop at a failure, for a debugger */
	int64_t max_ns;	       /* for each scenario; 0: no limit */
	uint64_t max;	       /* executions; 0: no limit */
	uint64_t seed;	       /* of random executions; 0: all */
	const char *replay;    /* only this one */
};
extern struct x_options x_options;

struct x_result {
	uint64_t executions, steps;
	unsigned depth; /* choices in the longest execution */
	int64_t ns;
	unsigned bound; /* all executions up to it were tried */
	bool complete, failed;
	char message[512];
	char replay[8192];
};

enum x_branch_kind { X_A_THREAD, X_A_VALUE };

struct x_branch {
	uint8_t kind, chosen;
	uint8_t n;		     /* values */
	uint8_t enabled, todo, done; /* sets of threads */
};

void x_search(const struct explore_scenario *, struct x_result *);
struct x_branch *x_choose_thread(unsigned set, unsigned from, bool goes_on);
int32_t x_branch_number(const struct x_branch *);
/* Makes the thread an alternative at that choice. */
void x_note(int32_t branch, unsigned thread);
unsigned x_first_of(unsigned set, unsigned from);

/* ---- kernel.c ---- */

void x_kernel_begin(void); /* an execution */

/* Signals: whether any may come; whether one is pending for that thread; taking it. A
 * thread takes a signal before its next step, even when it is blocked. */
bool x_may_signal(void);
bool x_has_signal(unsigned thread);
void x_take_signal(void);

/* ---- memory.c ---- */

/* Makes the store that a mutation has held back; undoes the store that a mutation
 * takes back. */
void x_release_held(void);
void x_take_back(void);
void x_memory_begin(void); /* an execution */
void x_thread_begin(struct x_thread *);
void x_plain(uintptr_t addr, size_t size, bool write, const void *pc);
void x_freed(uintptr_t addr, size_t size, const void *pc);
/* A step changes or reads the model's kernel object at addr: all that happened
 * before its last change happened before this step. */
void x_sync(uintptr_t addr, bool write);

uint64_t x_load(uintptr_t, int size, int order, const void *pc);
void x_store(uintptr_t, int size, uint64_t value, int order, const void *pc);
/* A store of the kernel, in the current step. */
void x_store_now(uintptr_t, int size, uint64_t value, int order);
typedef uint64_t x_rmw_fn(uint64_t old, uint64_t arg);
uint64_t x_rmw(uintptr_t, int size, x_rmw_fn *, uint64_t arg, int order,
	       const void *pc);
bool x_cas(uintptr_t, int size, uint64_t *expected, uint64_t value, int order,
	   int fail_order, bool weak, const void *pc);
void x_fence(int order, const void *pc);
void x_membarrier(const void *pc);

/* ---- arena.c: memory that each execution finds as the setup left it ---- */

#define X_ARENA	     ((char *)0x200000000000)
#define X_ARENA_SIZE (64ul << 20)

void x_arena_open(void);
void *x_arena_alloc(size_t size, size_t align);
/* Only the last `kept` bytes of each stride are kept. */
void *x_arena_stacks(size_t size, size_t stride, size_t kept);
void x_arena_keep(void);    /* as every execution's start */
void x_arena_restore(void); /* ... which this restores */
/* Handles a failed write to that address. False: its page was not protected. */
bool x_arena_written(void *addr);
const char *x_arena_name(uintptr_t addr, char *buf, size_t size);

/* ---- sites.c: the calls of the instrumentation, in the source ---- */

struct x_frame {
	const char *function, *file;
	int line;
};

enum x_mutation {
	X_AS_IS,
	X_RELAX,
	X_DROP,
	X_SPLIT,
	X_HOLD,
	X_LOSE, /* a plain store */
};

struct x_site {
	uintptr_t pc;	/* return address */
	const char *op; /* __tsan_... */
	unsigned nr_frames;
	struct x_frame frame[8]; /* innermost first */
	enum x_mutation mutation;
	unsigned hits;
	int order;		/* of its last use */
	signed char deliberate; /* 0: not asked; 1: race is meant; -1: no */
};

void x_sites_open(const char *file);
struct x_site *x_site(const void *pc);
const char *x_symbol(uintptr_t addr, size_t *offset);
const char *x_source(const char *file, int line);
bool x_site_matches(const struct x_site *, const char *function,
		    const char *text);
bool x_is_atomic(const struct x_site *);
extern struct x_site *x_sites;
extern unsigned x_nr_sites;
/* Returns the number of sites at which it was planted. */
unsigned x_plant(enum x_mutation, const char *function, const char *text);
extern bool x_plain_planted; /* in a plain store */
bool x_deliberate(const void *pc);
const char *x_where(const void *pc); /* one line of text, static */
int x_coverage(bool verbose);

/* ---- outcomes.c ---- */

void x_outcomes_begin(void);
/* Whether the outcomes seen are exactly those of the list; if not, message says
 * what is wrong. */
bool x_outcomes_are(const char *list, char *message, size_t size);

/* ---- survey.c ---- */

void x_survey(const char *file);

/* ---- report.c ---- */

void x_report(const char *scenario, const char *message, const struct x_step *,
	      unsigned n, const char *replay);

#endif
