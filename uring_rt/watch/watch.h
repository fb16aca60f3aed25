/* SPDX-License-Identifier: MIT */
/* Interfaces between the files of this floor. */
#ifndef URT_WATCH_WATCH_H
#define URT_WATCH_WATCH_H

#include "../wait/wait.h"
#include <signal.h>
#include <stdio.h>
#include <ucontext.h>

/* The settings of URT_DEBUG; 0 and false: off. */
struct urt__debug {
	int64_t sched_ns; /* time between lines about the scheduler */
	int64_t stall_ns; /* report coroutines that run for longer without a switch */
	bool leak;	  /* report coroutines that are left at the end */
	bool check;	  /* look for mistakes of the program; check.c */
};
extern struct urt__debug urt__debug;

/* ---- options.c ---- */

#define URT__STACK_MIN (16 * 1024) /* bytes */

/* Fills in defaults for what is 0. -EINVAL: urt_why() has the reason. */
int urt__options_check(struct urt_options *);
/* Read URT_FEATURES, URT_DEBUG, and the switches URT_PREEMPT and URT_ASSIST.
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

/* The clock of a thread's CPU time, as clock_getcpuclockid(3) makes it. */
static inline clockid_t urt__cpu_clock(int tid)
{
	return (clockid_t)(~(unsigned)tid << 3 | 6);
}

/* ... of its time in user space (CPUCLOCK_VIRT, as ITIMER_VIRTUAL). */
static inline clockid_t urt__user_clock(int tid)
{
	return (clockid_t)(~(unsigned)tid << 3 | 5);
}

/* A run begins and ends: installs and removes SIGURG's handler. */
void urt__preempt_open(void);
void urt__preempt_close(void);

/* Whether preemption is wanted, and the calling coroutine holds no pthread
 * lock. */
bool urt__may_preempt(void);

/* Has the worker's thread stop its coroutine where that is safe, at the next
 * tick that finds the thread in user space. Ends no call early. By the
 * monitor. */
void urt__preempt_soon(struct urt__worker *);
/* Whether the signal is to come for the coroutine that runs there now. The
 * handler asks for it again at each tick. To set the timer anew meanwhile would
 * put off a signal that has not been delivered. */
bool urt__preempt_is_due(const struct urt__worker *);
/* If `preempt`, the same at once, which ends blocking calls early: when the run
 * ends. If the worker is `stalled`, has its thread print its backtrace. */
void urt__preempt_signal(struct urt__worker *, bool preempt);

/* Has the thread stop in its signal handler for good: for the last report. */
void urt__preempt_freeze(struct urt__worker *);

/* The CPU time of the worker's thread; 0: it cannot be read. */
int64_t urt__worker_cpu_ns(const struct urt__worker *);

/* ---- safe.c ---- */

/* A run begins: finds the program's own text. False: the signal can stop no
 * coroutine. */
bool urt__safe_open(void);
/* Whether w's coroutine may be stopped where the signal interrupted it. In the
 * handler, on w's thread, outside the runtime, after _open returned true. */
bool urt__is_safe(const struct urt__worker *, const ucontext_t *);

/* ---- nap.c ---- */

/* The number of threads without a processor that have computed within this
 * time; the monitor counts them. */
#define URT__ASTRAY_NS INT64_C(1000000000)
extern _Atomic unsigned urt__astray;
/* Sleeps until the thread has used no more than its share of the CPUs, but not
 * longer than 0.5 s; less if the world stops or the run ends. In the handler, if
 * w's thread computes without a processor. */
void urt__nap(struct urt__worker *);

/* ---- locks.c ---- */

/* How many pthread locks the calling thread holds. */
unsigned urt__locks_held(void);

/* ---- check.c ---- */

/* A run begins; a worker begins and ends, on its own thread. */
void urt__check_open(void);
void urt__check_enter(struct urt__worker *);
void urt__check_leave(void);

/* ---- report.c ---- */

/* To be called when all threads of a run exist. */
void urt__report_know_threads(void);
/* Whether the process has threads that are not the runtime's. */
bool urt__report_other_threads(void);
/* Reports that all coroutines sleep and nothing can wake one, and exits. */
void urt__report_deadlock(void);
/* Reports a coroutine whose stack pointer is not in its stack, and aborts. */
void urt__report_stack_left(struct urt_coro *, const void *sp);
/* Prints the backtrace of the calling thread; also in a signal handler. */
void urt__report_backtrace(void);
/* Keeps for urt__report_quit the backtrace of the calling thread, which a signal
 * with this context interrupted. */
void urt__report_interrupted(const struct urt__worker *, const void *context);
/* Stops the world, prints every coroutine, and dies of SIGQUIT. By the
 * monitor. */
void urt__report_quit(void);
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

int urt__monitor_start(void);
void urt__monitor_stop(void);
/* Has the monitor look now. */
void urt__monitor_look(void);
/* In a forked child, which has no monitor. */
void urt__monitor_forget(void);
/* From a signal handler: has the monitor call urt__report_quit. */
void urt__monitor_quit(void);

/* ---- look.c: all but _open and _close on the monitor's thread ---- */

/* 0 or -errno. */
int urt__look_open(void);
void urt__look_close(void);
void urt__look(int64_t now_ns);
/* How soon the next look is needed because of what the last one found; 0: not
 * because of that. */
int64_t urt__look_soon_ns(void);
/* To poll for reading: a ring without a processor has completions. When it is
 * readable, call _ring, and look. */
int urt__look_fd(void);
void urt__look_ring(void);
/* The kernel reports that the worker's thread went to sleep. No effect if the
 * thread has run since. */
void urt__look_hear(unsigned index, int tid, int64_t ran_ns, int64_t ns);

/* ---- pause.c ---- */

/* Whether no worker needs to be watched. */
bool urt__all_asleep(void);
/* The sum over all workers. */
uint64_t urt__counted_by_all(enum urt__stat);
/* By the monitor: a run begins and ends. */
void urt__pause_open(void);
void urt__pause_close(void);
/* How long to pause now; INT64_MAX: until a worker wakes. The pause begins with
 * this call. */
int64_t urt__pause_ns(void);
void urt__pause_end(void);
/* The descriptor whose readiness ends this pause, too, or -1. */
int urt__pause_alarm(void);

/* ---- told.c: the kernel's reports; all on the monitor's thread ---- */

void urt__told_open(void);
void urt__told_close(void);
/* Descriptors to poll for reading; -1: none. When _socket is readable, call
 * _offered. */
int urt__told_fd(void);
int urt__told_socket(void);
void urt__told_offered(void);
/* Calls hear for each worker whose thread went to sleep at ns, after ran_ns of
 * CPU time. */
void urt__told_read(void (*hear)(unsigned index, int tid, int64_t ran_ns,
				 int64_t ns));

/* ---- outside.c ---- */

struct urt__outside;
void urt__outside_fill(struct urt__outside *);

/* ---- threads.c ---- */

/* Starts a thread for each processor but the first, which the caller's thread
 * has, and one spare. 0 or -errno, with the reason in urt_why(); in both cases,
 * _join and _end must follow. */
int urt__threads_start(void);
/* Waits for all threads but the caller's. */
void urt__threads_join(void);
/* The worker's last act, on its thread. If the run ends, first awaits all that
 * is in flight. */
void urt__worker_end(struct urt__worker *);
/* Unblocks the runtime's signal in the caller, until _restore, and in all
 * workers: the program may have blocked all signals, to wait for them in one
 * thread. */
void urt__threads_unblock(void);
void urt__threads_restore(void);
/* In a forked child. */
void urt__threads_forget(void);
/* One more worker thread, without a processor. 0 or -errno; -EUSERS: there are
 * URT__SPARES_MAX; -ECANCELED: the run stops. */
int urt__worker_add(void);

/* ---- spares.c ---- */

/* Finds the cgroup that limits the process's threads in /proc/self/cgroup, f:
 * "0::/GROUP" under v2, "8:pids:/GROUP" under v1; puts its directory into path. */
bool urt__pids_group(FILE *f, char *path, size_t size);
/* Adds a spare; if there can be none, prints once which limit is reached. */
bool urt__spare_add(void);
/* At each look of the monitor: keeps as many spares as are needed. _linger_ns:
 * how long the monitor may sleep; INT64_MAX: for any time. */
void urt__spares_look(int64_t now_ns);
int64_t urt__spares_linger_ns(void);
/* Makes n spares; on the helper's thread. */
void urt__spares_make(unsigned n);
/* A run begins. */
void urt__spares_reset(void);

/* ---- helper.c: all but _start, _stop and _widen by the monitor ---- */

/* Before the monitor starts; before it stops. */
int urt__helper_start(void);
void urt__helper_stop(void);
/* Has the helper make n spares; _makes: whether it still does. */
void urt__helper_make(unsigned n);
bool urt__helper_makes(void);
/* Has the helper give memory back if it is time, and returns the next time.
 * INT64_MAX: there is none to give back, or the helper will have the monitor
 * look when it is done. */
int64_t urt__helper_tidy(int64_t now_ns);
/* Has the helper call urt__fds_widen. */
void urt__helper_widen(void);

#endif
