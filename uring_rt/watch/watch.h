/* SPDX-License-Identifier: MIT */
/* Interfaces between the files of this floor. */
#ifndef URT_WATCH_WATCH_H
#define URT_WATCH_WATCH_H

#include "../wait/wait.h"
#include <signal.h>

/* The settings of URT_DEBUG; 0 and false: nothing. */
struct urt__debug {
	int64_t sched_ns; /* a line about the scheduler so often */
	int64_t stall_ns; /* report coroutines that run for longer without a switch */
	bool leak;	  /* report coroutines that are left at the end */
	bool check;	  /* look for mistakes of the program; check.c */
};
extern struct urt__debug urt__debug;

/* ---- options.c ---- */

#define URT__STACK_MIN (16 * 1024) /* bytes */

/* Fills in what is 0; -EINVAL, and urt_why() says what. */
int urt__options_check(struct urt_options *);
/* The features that URT_FEATURES leaves on; what URT_DEBUG asks for.
 * Likewise. */
int urt__options_features(unsigned *features);
int urt__options_debug(void);
int urt__options_switches(void);
/* Bytes of locked memory that the rings of a run with these options take. */
size_t urt__options_locked(const struct urt_options *);
/* Sets urt_why() and returns err; _ring: for an error of a ring's set-up. */
int urt__because(int err, const char *text);
int urt__because_ring(int err);
/* ... for a thread that could not be started, or a mapping that was not made. */
int urt__because_thread(int err, const char *whose);
int urt__because_space(int err, const char *what);
/* Not a failure: there is room for fewer coroutines than were asked for. */
void urt__because_fewer(size_t room, size_t wanted);

/* ---- preempt.c ---- */

/* That clock_gettime(2) reads, of a thread's CPU time (clock_getcpuclockid(3)'s). */
static inline clockid_t urt__cpu_clock(int tid)
{
	return (clockid_t)(~(unsigned)tid << 3 | 6);
}

/* ... of its time in user space (CPUCLOCK_VIRT, as ITIMER_VIRTUAL). */
static inline clockid_t urt__user_clock(int tid)
{
	return (clockid_t)(~(unsigned)tid << 3 | 5);
}

/* Installs and removes SIGURG's handler; finds the program's own text. */
void urt__preempt_open(void);
void urt__preempt_close(void);

/* It is wanted, and the calling coroutine holds no pthread lock. */
bool urt__may_preempt(void);

/* Has the worker's thread stop its coroutine where that is safe, when it next runs in
 * user space at a tick. Ends no call early. By the monitor. */
void urt__preempt_soon(struct urt__worker *);
/* The same at once, if `preempt`, which ends blocking calls early: when the run ends.
 * And has it print its backtrace, if it is stalled. */
void urt__preempt_signal(struct urt__worker *, bool preempt);

/* The same, and the thread stops there for good: for the last report. */
void urt__preempt_freeze(struct urt__worker *);

/* Threads without a processor that have computed within this time; their number,
 * which the monitor counts. */
#define URT__ASTRAY_NS INT64_C(1000000000)
extern _Atomic unsigned urt__astray;

/* How many pthread locks the calling thread holds; see locks.c. */
unsigned urt__locks_held(void);

/* ---- check.c ---- */

/* A run begins; a worker is there, on its own thread. */
void urt__check_open(void);
void urt__check_enter(struct urt__worker *);
void urt__check_leave(void);

/* ---- report.c ---- */

/* When all threads of a run are there. */
void urt__report_know_threads(void);
/* Whether the process has threads of its own. */
bool urt__report_other_threads(void);
/* All coroutines asleep and nothing to come: says so and exits. */
void urt__report_deadlock(void);
/* A coroutine whose stack pointer is not in its stack: says so and aborts. */
void urt__report_stack_left(struct urt_coro *, const void *sp);
/* Of the calling thread, in a signal handler or not. */
void urt__report_backtrace(void);
/* Keeps that of the calling thread, which a signal with this context
 * interrupted, for urt__report_all. */
void urt__report_interrupted(const struct urt__worker *, const void *context);
/* Every coroutine, where the world is stopped; w: the caller's. */
void urt__report_all(struct urt__worker *w);
void urt__report_leaks(void);
/* "coroutine 7 (function)" and so on, into buf. */
const char *urt__report_name(const struct urt_coro *, char *buf, size_t size);

/* symbols.c: the function that holds pc, and how far pc is in it; false: not
 * known. */
bool urt__symbol(const void *pc, char *name, size_t size, uintptr_t *offset);

/* SIGSEGV: stack overflow; SIGQUIT: report of all. */
void urt__report_open(void);
void urt__report_close(void);
/* The alternate signal stack of the calling worker thread. */
void urt__signal_stack_enter(struct urt__worker *);
void urt__signal_stack_leave(struct urt__worker *);

/* ---- monitor.c ---- */

/* The sum over all workers. */
uint64_t urt__counted_by_all(enum urt__stat);

int urt__monitor_start(void);
void urt__monitor_stop(void);
/* There is something to look at now. */
void urt__monitor_look(void);
/* Whether no worker needs to be watched. */
bool urt__all_asleep(void);
/* In a forked child: there is none. */
void urt__monitor_forget(void);
/* From a signal handler: report everything and die of SIGQUIT. */
void urt__monitor_quit(void);

/* ---- told.c: what the kernel tells; all on the monitor's thread ---- */

void urt__told_open(void);
void urt__told_close(void);
/* To be polled for reading; -1: there is none. _socket: then _offered. */
int urt__told_fd(void);
int urt__told_socket(void);
void urt__told_offered(void);
/* Calls hear for each worker that went to sleep at ns, when its thread had used that
 * much CPU time. */
void urt__told_read(void (*hear)(unsigned index, int tid, int64_t ran_ns,
				 int64_t ns));

/* ---- outside.c ---- */

struct urt__outside;
void urt__outside_fill(struct urt__outside *);

/* ---- threads.c ---- */

/* A run begins, with as many threads as it has processors; its caller's is the
 * first. 0, or what urt_why() says; then _join and _end all the same. */
int urt__threads_start(void);
/* Waits for all threads but the caller's. */
void urt__threads_join(void);
/* The worker's last act, on its thread: what is in flight ends first. */
void urt__worker_end(struct urt__worker *);
/* The program may have blocked all signals, to wait for them in a thread: the
 * runtime's own is open in the caller until _restore, and in all workers. */
void urt__threads_unblock(void);
void urt__threads_restore(void);
/* In a forked child. */
void urt__threads_forget(void);
/* One more worker thread, without a processor. 0 or -errno; -EUSERS: there are
 * URT__SPARES_MAX; -ECANCELED: the run stops. */
int urt__worker_add(void);

/* ---- spares.c ---- */

/* One more spare; says so, once, if there can be none, and by what limit. */
bool urt__spare_add(void);
/* At each look of the monitor's: keeps as many spares as are needed. _linger_ns: it
 * must look again by then; INT64_MAX: it need not. */
void urt__spares_look(int64_t now_ns);
int64_t urt__spares_linger_ns(void);
/* Makes so many; by the helper. */
void urt__spares_make(unsigned n);
/* A run begins. */
void urt__spares_reset(void);

/* ---- helper.c: all but _start and _stop by the monitor ---- */

/* Before the monitor starts; before it stops. */
int urt__helper_start(void);
void urt__helper_stop(void);
/* Has it make spares; whether it still does. */
void urt__helper_make(unsigned n);
bool urt__helper_makes(void);
/* Has it give memory back if it is time; when that is again. INT64_MAX: there is none,
 * or it will say so. */
int64_t urt__helper_tidy(int64_t now_ns);

#endif
