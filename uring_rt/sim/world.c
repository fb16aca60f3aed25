// SPDX-License-Identifier: MIT
/*
 * The simulated machine: the running thread and the time.
 *
 * The program and the runtime are unchanged: real threads, with their own
 * stacks and thread-local variables. But only the thread that has the baton
 * runs, and it gives the baton away only inside calls that would enter the
 * kernel. The simulator defines these calls in place of libc's. Each is a step:
 * some virtual time passes, and, if the seed says so, another thread runs
 * first. A thread that would wait gives its condition and its deadline instead
 * (sim_wait). When no thread can run, the clock jumps to the next deadline, or
 * to the time at which the simulated kernel completes a request. If there is
 * neither, nothing will ever happen again, and the hang is reported at once.
 *
 * So a run depends on the program and the seed alone. Real threads, not
 * contexts on one thread, are used because libc, C++ and the runtime keep
 * thread-local state, and need not know of the simulation. Handing over the
 * baton is a futex (2 us on one CPU, to which the process is bound); switching
 * coroutines costs what it always does.
 *
 * Not simulated: instructions. Between two calls of the kernel no other thread
 * runs; tests/explore covers the orders of single loads and stores.
 */
#define _GNU_SOURCE
#include "sim.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS	 1024
#define SLICE_NS 1000000 /* after so long, it is another thread's turn */

struct thread {
	_Atomic uint32_t go;  /* futex: it has the baton */
	_Atomic uint32_t tid; /* futex: it has begun */
	uint32_t *ends; /* futex that the kernel clears at its end; or NULL */
	enum { GONE, RUNS, WAITS } state;
	bool (*ready)(void *); /* WAITS: for this, of arg ... */
	void *arg;
	int64_t until_ns;    /* ... or until then */
	const char *what;    /* ... by its name; "": it does not wait */
	int64_t cpu_ns;	     /* virtual CPU time that it has used */
	int signal;	     /* to be taken when it runs next; 0: none */
	void *(*fn)(void *); /* the program's function, of fn_arg */
	void *fn_arg;
	pthread_t pthread;
	bool joined; /* or detached: the entry is free once it is GONE */
};

static struct thread thread[THREADS];
static struct thread *dying;	/* gave the baton away for good */
static unsigned nr_threads = 1; /* entries that were ever used */
static __thread struct thread *self __attribute__((tls_model("initial-exec")));
static struct thread *holder; /* of the baton */
static bool has_children;
bool sim_on, sim_anyway;
static bool is_free; /* the end: threads run without the baton */
int64_t sim_now_ns = SIM_BEGIN_NS;
static int64_t switched_ns; /* when the baton was last given away */

int sim_thread_number(void)
{
	return self ? (int)(self - thread) : -1;
}

/* ---- the baton --------------------------------------------------------- */

static void give(struct thread *t)
{
	atomic_store(&t->go, 1);
	sim_call(SYS_futex, &t->go, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void take(struct thread *t)
{
	while (!atomic_exchange(&t->go, 0))
		sim_call(SYS_futex, &t->go, FUTEX_WAIT_PRIVATE, 0, NULL, NULL,
			 0);
}

/*
 * A dying thread holds locks in libc and its stack until its very end. The kernel
 * signals the end by a futex, as for pthread_join(3); an old kernel may not give its
 * address. sched_yield(2) in a loop was too slow: each call puts the caller a slice
 * behind all others, which for SCHED_IDLE is a second, and on a busy CPU the caller
 * waits that long (Linux 6.18; runs took minutes).
 */
static void await_end(void)
{
	struct timespec ts = { 0, 20000 };
	struct thread *t = dying;
	uint32_t tid;

	dying = NULL;
	while (t && t->ends && (tid = *(volatile uint32_t *)t->ends))
		sim_call(SYS_futex, t->ends, FUTEX_WAIT, tid, NULL, NULL, 0);
	while (t && !t->ends &&
	       sim_call(SYS_tgkill, getpid(), t->tid, 0) != -ESRCH)
		sim_call(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &ts, NULL);
}

/* After a hang, only the threads that report it still run. */
static void stand_still(void)
{
	for (;;)
		sim_call(SYS_futex, &self->go, FUTEX_WAIT_PRIVATE, self->go,
			 NULL, NULL, 0);
}

/*
 * Nothing can happen any more. The runtime reports its coroutines on SIGQUIT.
 * Its monitor makes this report: it waits in poll, and continues without the
 * baton.
 */
static void stuck(void)
{
	struct sigaction act;

	sim_say("seed %s: a hang after %lld ms of simulated time: all threads and %u requests wait for events that will never come",
		sim_seed_text, (long long)(sim_now_ns - SIM_BEGIN_NS) / 1000000,
		sim_ring_waiting());
	sim_trace("hang");
	sim_tell_hang();
	is_free = true;
	sim_on = false;
	sigaction(SIGQUIT, NULL, &act);
	if (!(act.sa_flags & SA_SIGINFO) && act.sa_handler == SIG_DFL)
		for (unsigned i = 0; i < nr_threads; i++)
			if (thread[i].state == WAITS)
				sim_say("thread %u waits: %s", i,
					thread[i].what);
	for (unsigned i = 0; i < nr_threads; i++)
		if (&thread[i] != self && thread[i].state == WAITS &&
		    !strcmp(thread[i].what, "poll"))
			give(&thread[i]);
	sim_call(SYS_kill, getpid(), SIGQUIT);
}

static bool can_run(struct thread *t)
{
	return t->state == RUNS ||
	       (t->state == WAITS && (t->until_ns <= sim_now_ns || t->signal ||
				      (t->ready && t->ready(t->arg))));
}

/* Picks a thread that can run; but_not only if no other can. */
static struct thread *pick(struct thread *but_not)
{
	struct thread *can[THREADS];
	unsigned n = 0;

	for (unsigned i = 0; i < nr_threads; i++)
		if (&thread[i] != but_not && can_run(&thread[i]))
			can[n++] = &thread[i];
	if (n)
		return can[n > 1 ? sim_random(SIM_SWITCH, n) : 0];
	return but_not && can_run(but_not) ? but_not : NULL;
}

void sim_has_children(void)
{
	has_children = true;
}

/*
 * A child process is real, and so is the time that it takes. While one runs, the clock
 * advances in steps, and no faster than the real one. False: no child runs.
 */
static bool wait_for_children(int64_t next_ns)
{
	struct timespec ts = { 0, 1000000 };
	siginfo_t ended = { 0 };

	if (!has_children ||
	    sim_call(SYS_waitid, (long)P_ALL, 0L, &ended,
		     (long)(WEXITED | WNOHANG | WNOWAIT), NULL))
		return has_children = false;
	if (ended.si_pid)
		return false;
	if (next_ns - sim_now_ns < ts.tv_nsec)
		ts.tv_nsec = next_ns - sim_now_ns;
	sim_call(SYS_clock_nanosleep, (long)CLOCK_MONOTONIC, 0L, &ts, NULL);
	sim_now_ns += ts.tv_nsec;
	return true;
}

/* The thread that runs next. The clock advances as far as it must. */
static struct thread *next_thread(struct thread *but_not)
{
	for (;;) {
		struct thread *t;
		int64_t next_ns;

		sim_ring_run(false);
		t = pick(but_not);
		if (t)
			return t;
		if (sim_ring_run(true))
			continue;
		sim_anyway = true;
		t = pick(but_not);
		sim_anyway = false;
		if (t)
			return t;
		next_ns = sim_ring_next_ns();
		for (unsigned i = 0; i < nr_threads; i++)
			if (thread[i].state == WAITS &&
			    thread[i].until_ns < next_ns)
				next_ns = thread[i].until_ns;
		if (wait_for_children(next_ns))
			continue;
		if (next_ns == SIM_NEVER) {
			stuck();
			return NULL;
		}
		if (next_ns > sim_now_ns)
			sim_now_ns = next_ns;
	}
}

/* Gives the baton to t; returns when it has come back. */
static void switch_to(struct thread *t)
{
	struct thread *me = self;

	switched_ns = sim_now_ns;
	sim_tell_time(sim_now_ns - SIM_BEGIN_NS);
	if (t == me)
		return;
	if (t) {
		sim_trace("thread %d goes on", (int)(t - thread));
		give(t);
		take(me);
		holder = me;
		await_end();
	}
	if (is_free && strcmp(me->what, "poll"))
		stand_still();
}

static void get_signal(void)
{
	int sig = self->signal;

	self->signal = 0;
	if (sig)
		sim_call(SYS_tgkill, getpid(), self->tid, sig);
}

/* False in a handler of a signal from outside, which any thread may run. */
static bool is_simulated(void)
{
	return sim_on && self && self == holder;
}

void sim_yield(void)
{
	struct thread *t;

	if (!is_simulated())
		return;
	t = next_thread(self);
	self->what = "";
	switch_to(t);
	get_signal();
}

void sim_step(int64_t ns)
{
	int saved = errno;

	if (!is_simulated())
		return;
	sim_now_ns += ns;
	self->cpu_ns += ns;
	if (sim_now_ns - switched_ns > SLICE_NS || sim_switches())
		sim_yield();
	errno = saved;
}

bool sim_wait(bool (*ready)(void *), void *arg, int64_t until_ns,
	      const char *what)
{
	struct thread *me = self;
	bool came, signalled;

	if (!is_simulated())
		return ready && ready(arg);
	do {
		me->ready = ready;
		me->arg = arg;
		me->until_ns = until_ns;
		me->what = what;
		me->state = WAITS;
		switch_to(next_thread(NULL));
		me->state = RUNS;
		signalled = me->signal;
		get_signal();
		came = ready && ready(arg);
	} while (signalled && !came && until_ns > sim_now_ns);
	return came;
}

int64_t sim_after(int64_t ns)
{
	if (ns < 0)
		ns = 0;
	return ns > SIM_NEVER - sim_now_ns ? SIM_NEVER : sim_now_ns + ns;
}

int64_t sim_until(const struct timespec *ts)
{
	if (!ts || ts->tv_sec > SIM_NEVER / 1000000000 - 1)
		return SIM_NEVER;
	return sim_after(ts->tv_sec * INT64_C(1000000000) + ts->tv_nsec);
}

/* ---- threads ----------------------------------------------------------- */

static struct thread *by_tid(int tid)
{
	for (unsigned i = 0; i < nr_threads; i++)
		if ((int)thread[i].tid == tid && thread[i].state != GONE)
			return &thread[i];
	return NULL;
}

char sim_thread_state(int tid)
{
	struct thread *t = by_tid(tid);

	return t && t->state == RUNS ? 'R' : 'S';
}

int64_t sim_thread_cpu_ns(int tid)
{
	struct thread *t = tid ? by_tid(tid) : self;

	return t ? t->cpu_ns : 0;
}

void sim_signal(int tid, int sig)
{
	struct thread *t = by_tid(tid);

	sim_trace("signal %d for thread %d", sig, t ? (int)(t - thread) : -1);
	if (t == self)
		sim_call(SYS_tgkill, getpid(), tid, sig);
	else if (t)
		t->signal = sig;
}

/* The thread gives the baton away here, before its last steps in libc. */
static void thread_gone(void *arg)
{
	struct thread *t = arg, *next;

	t->state = GONE;
	sim_trace("thread ends");
	next = next_thread(NULL);
	self = NULL;
	dying = t;
	if (next)
		give(next);
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;
	void *ret;

	self = t;
	sim_call(SYS_prctl, PR_GET_TID_ADDRESS, &t->ends, 0L, 0L, 0L);
	atomic_store(&t->tid, gettid());
	sim_call(SYS_futex, &t->tid, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	take(t);
	holder = t;
	await_end();
	pthread_cleanup_push(thread_gone, t);
	ret = t->fn(t->fn_arg);
	pthread_cleanup_pop(1);
	return ret;
}

static struct thread *vacant(void)
{
	for (unsigned i = 0; i < nr_threads; i++)
		if (thread[i].state == GONE && thread[i].joined)
			return &thread[i];
	return nr_threads < THREADS ? &thread[nr_threads++] : NULL;
}

int sim_thread_new(pthread_t *out, const pthread_attr_t *attr,
		   void *(*fn)(void *), void *arg)
{
	static void *cache;
	int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *),
		    void *) = sim_next(&cache, "pthread_create");
	int detach = PTHREAD_CREATE_JOINABLE, err;
	struct thread *t;

	sim_step(20000); /* other threads may take an entry meanwhile */
	t = vacant();
	if (!t || sim_fault(SIM_THREAD))
		return EAGAIN;
	if (attr)
		pthread_attr_getdetachstate(attr, &detach);
	*t = (struct thread){ .fn = fn,
			      .fn_arg = arg,
			      .what = "",
			      .joined = detach == PTHREAD_CREATE_DETACHED };
	err = real(&t->pthread, attr, thread_main, t);
	if (err) {
		t->joined = true;
		return err;
	}
	*out = t->pthread;
	/* Other threads need its tid, which it stores itself. */
	while (!atomic_load(&t->tid))
		sim_call(SYS_futex, &t->tid, FUTEX_WAIT_PRIVATE, 0, NULL, NULL,
			 0);
	t->state = RUNS;
	sim_trace("thread %d begins", (int)(t - thread));
	return 0;
}

static struct thread *by_pthread(pthread_t p)
{
	for (unsigned i = 0; sim_on && i < nr_threads; i++)
		if (!thread[i].joined && pthread_equal(thread[i].pthread, p))
			return &thread[i];
	return NULL;
}

static bool is_gone(void *arg)
{
	return ((struct thread *)arg)->state == GONE;
}

int sim_thread_join(pthread_t p, void **ret)
{
	static void *cache;
	int (*real)(pthread_t, void **) = sim_next(&cache, "pthread_join");

	struct thread *t = by_pthread(p);

	if (t) {
		sim_wait(is_gone, t, SIM_NEVER, "pthread_join");
		t->joined = true;
	}
	return real(p, ret);
}

int sim_thread_tid(pthread_t p)
{
	struct thread *t = by_pthread(p);

	return t && t->state != GONE ? t->tid : 0;
}

bool sim_thread_detach(pthread_t p)
{
	struct thread *t = by_pthread(p);

	if (t)
		t->joined = true;
	return t;
}

/* ---- the beginning ----------------------------------------------------- */

__attribute__((constructor)) static void begin(void)
{
	const char *s;
	cpu_set_t one;

	sim_share_result();
	sim_serve();
	s = getenv("URT_SIM");
	if (!s)
		return;
	sim_read_options(s);
	sim_trace_open();
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
	unsetenv("LD_PRELOAD"); /* child processes are real ones */
	self = holder = &thread[0];
	self->tid = gettid();
	self->pthread = pthread_self();
	self->state = RUNS;
	self->what = "";
	sim_on = true;
}
