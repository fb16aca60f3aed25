// SPDX-License-Identifier: MIT
/*
 * The signal that stops a coroutine that has run for too long.
 *
 * It is SIGURG (ignored by default, and Go's choice). It must not end a call
 * early. A signal from another thread ends nanosleep, poll and epoll_wait if
 * the thread is in such a call or about to make it. So a timer that measures
 * the thread's own time in user space sends the signal: the kernel advances
 * that time at a tick that finds the thread in user space, and sends the signal
 * from that tick, never in a call. A timer of all CPU time may expire inside a
 * call; if a completion interrupts that call as well, the kernel does not
 * restart it, since a handler runs. If the tick comes at the instruction that
 * restarts an interrupted call, the handler makes that call (continue_call). On
 * nohz_full CPUs, the kernel measures user time without ticks, so the timer may
 * expire inside a call there.
 *
 * The price is that the signal comes at a tick (1 to 10 ms apart), so nothing
 * depends on it: before that, the monitor has another thread take over the
 * processor.
 *
 * The handler runs on the thread's signal stack. If the thread is outside the
 * runtime (`where`, which only this thread writes), and it is safe, the handler
 * makes the interrupted code appear to have called urt__preempt_entry
 * (exec/arch), which stops the coroutine, together with its thread
 * (sched/handoff.c), and restores all registers when it goes on.
 *
 * It is safe to stop a coroutine that holds no lock that another one could
 * need. If another one needs such a lock all the same, its thread blocks and
 * its processor is handed on; so these rules prevent not deadlocks, but long
 * waits for a stopped coroutine:
 *
 *   - the program counter is in the program's own text, or that of a library
 *     that was registered, or in libm, which takes no locks;
 *   - no word above on the stack points into another library: so the code is
 *     neither inside a library nor a callback of one (qsort, a tree walk under
 *     the library's lock). All words are checked, as frames cannot be told from
 *     data; a stale word only prevents the preemption;
 *   - the coroutine holds no pthread lock (locks.c) and has not disabled
 *     preemption;
 *   - its stack has room for the registers and the way to the scheduler.
 *
 * Otherwise the thread continues, another thread takes over its processor, and
 * the signal comes again at each further tick, until it finds the coroutine
 * where it may be stopped. A thread that lost its processor because it blocked
 * gets the signal, too, once it computes, but goes on: it may soon block again.
 *
 * With many such threads, the kernel would share the CPUs among them and the
 * workers. So if more of them compute than there are processors, and coroutines
 * wait for a processor, or a worker for a CPU, the handler makes its thread nap,
 * for so long, up to NAP_MAX_NS, that on average no more of them compute at a
 * time than there are processors. If nobody waits, a nap would only leave CPUs
 * idle. A thread may hold a library's lock during a nap; but without naps, among
 * as many threads, it would have no CPU for as long.
 *
 * _dl_find_object (glibc 2.35) tells which library an address belongs to, in a
 * signal handler and without locks. If it is missing, or if malloc is part of
 * the program itself, the signal preempts nothing.
 */
#define _GNU_SOURCE
#include "../base/sys.h"
#include "../exec/preempt.h"
#include "watch.h"
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#undef errno

#define REGISTERED_MAX 16
#define SCAN_MAX       (64 * 1024) /* bytes of stack that are checked */
#define NEED_BESIDES   8192	   /* bytes of stack below the registers */
#define USED_MAX_NS    10000000	   /* of CPU, between two naps */
#define NAP_MAX_NS     500000000
#define LATE_NS	       50000 /* after its time, a sleeper lacks a CPU */

_Atomic unsigned urt__astray;

static bool wanted;   /* URT_PREEMPT does not forbid preemption */
static bool possible; /* ... and the signal can do it */
static struct sigaction old_urg;

#ifdef __x86_64__
uint32_t urt__xsave_size __attribute__((visibility("hidden")));
#endif

/* urt__preempt_entry calls it, on the coroutine's stack. The processor may be
 * gone: then the coroutine waits for its turn as a preempted one, not as one
 * that comes back from a blocking call. */
void urt__preempted(void) __attribute__((visibility("hidden")));

void urt__preempted(void)
{
	struct urt__worker *w = urt__worker();
	int saved = *__errno_location();

	urt__kernel_end(w);
	if (urt__rt.stop)
		urt__abandon(w);
	urt__proc_swap(w);
	*__errno_location() = saved;
	urt__leave();
}

int64_t urt__worker_cpu_ns(const struct urt__worker *w)
{
	struct timespec ts;

	if (clock_gettime(urt__cpu_clock(atomic_load(&w->tid)), &ts))
		return 0;
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

#if !defined(URT__TSAN) && __GLIBC_PREREQ(2, 35)

/* The addresses of an object, or of one of its segments if other mappings lie
 * between these (as in programs on aarch64). */
struct range {
	uintptr_t start, end;
	const struct link_map *object;
};

/* Objects whose text may be preempted: the program, and the registered. */
static struct range allowed[1 + REGISTERED_MAX];
static _Atomic unsigned nr_allowed;
static struct range runtime;	  /* the object that holds the runtime */
static struct range program_text; /* executable part of the program */

extern char urt__preempt_entry[] __attribute__((visibility("hidden")));
extern char urt__preempt_end[] __attribute__((visibility("hidden")));

extern int _dl_find_object(void *, struct dl_find_object *)
	__attribute__((weak));

static bool object_of(uintptr_t address, struct range *r)
{
	struct dl_find_object o;

	if (_dl_find_object((void *)address, &o))
		return false;
	r->start = (uintptr_t)o.dlfo_map_start;
	r->end = (uintptr_t)o.dlfo_map_end;
	r->object = o.dlfo_link_map;
	return true;
}

/* For the first object only, which is the program. */
static int find_text(struct dl_phdr_info *info, size_t size, void *arg)
{
	bool *dynamic = arg;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];

		*dynamic |= h->p_type == PT_INTERP;
		if (h->p_type != PT_LOAD || !(h->p_flags & PF_X))
			continue;
		program_text.start = info->dlpi_addr + h->p_vaddr;
		program_text.end = program_text.start + h->p_memsz;
	}
	return 1;
}

static bool within(const struct range *r, uintptr_t a)
{
	return a >= r->start && a < r->end;
}

static bool is_allowed(uintptr_t a)
{
	unsigned n = atomic_load_explicit(&nr_allowed, memory_order_acquire);
	struct range r = { 0 };

	for (unsigned i = 0; i < n; i++)
		if (within(&allowed[i], a))
			return true;
	if (object_of(a, &r))
		for (unsigned i = 0; i < n; i++)
			if (allowed[i].object == r.object)
				return true;
	return false;
}

/* Its functions take no locks, and change only the thread's own state. */
static void allow_libm(void)
{
	const void *sine = dlsym(RTLD_DEFAULT, "sin");
	struct range r;

	if (sine && !is_allowed((uintptr_t)sine) &&
	    object_of((uintptr_t)sine, &r) &&
	    strstr(r.object->l_name, "/libm.so"))
		urt_preempt_register(sine);
}

static void find_objects(void)
{
	bool dynamic = false;

	possible = false;
	dl_iterate_phdr(find_text, &dynamic);
	if (!dynamic || !_dl_find_object ||
	    !object_of(program_text.start, &allowed[0]) ||
	    !object_of((uintptr_t)urt__preempt_entry, &runtime))
		return;
	if (!nr_allowed)
		nr_allowed = 1;
	/* A malloc of the program's own would be taken for the program. */
	if (is_allowed((uintptr_t)dlsym(RTLD_DEFAULT, "malloc")))
		return;
	allow_libm();
	possible = urt__preempt_init();
}

static bool is_foreign(uintptr_t a)
{
	struct range r;

	if (a < 65536)
		return false;
	for (unsigned i = 0; i < URT__CLASSES; i++) {
		const struct urt__stacks *s = &urt__rt.stacks[i];

		if (s->base && a >= (uintptr_t)s->base &&
		    a < (uintptr_t)s->base + s->max * s->stride)
			return false;
	}
	return object_of(a, &r) && r.object != runtime.object && !is_allowed(a);
}

/* Reads dead and poisoned words of the stack, on purpose. */
__attribute__((no_sanitize_address)) static bool stack_is_own(uintptr_t sp,
							      uintptr_t top)
{
	if (top - sp > SCAN_MAX)
		return false;
	for (const uintptr_t *p = (const uintptr_t *)(sp & ~7ul);
	     (uintptr_t)p < top; p++)
		if (is_foreign(*p))
			return false;
	return true;
}

static bool is_safe(struct urt__worker *w, const ucontext_t *u)
{
	uintptr_t pc = urt__context_pc(u), sp = urt__context_sp(u);
	struct urt_coro *c = w->current;
	size_t need = urt__preempt_room(u) + NEED_BESIDES;

	if (!possible || !c || c->no_preempt || urt__locks_held())
		return false;
	if (sp > (uintptr_t)c || sp < (uintptr_t)c->stack_lowest + need)
		return false;
	if (pc >= (uintptr_t)urt__preempt_entry &&
	    pc < (uintptr_t)urt__preempt_end)
		return false;
	if (!is_allowed(pc) ||
	    (within(&allowed[0], pc) && !within(&program_text, pc)))
		return false;
	return !is_foreign(urt__context_link(u)) &&
	       stack_is_own(sp, (uintptr_t)c);
}

static bool preempt(struct urt__worker *w, ucontext_t *u)
{
	if (!is_safe(w, u))
		return false;
	urt__preempt_call(u, (uintptr_t)urt__preempt_entry);
	return true;
}

/*
 * A completion interrupted a call, the kernel returned to the instruction that
 * restarts it, and the tick came just there. After sigreturn(2),
 * restart_syscall(2) would only fail with EINTR; so the handler makes it, under
 * the signal mask of the call. Another handler that runs meanwhile continues on
 * the signal stack.
 */
static bool continue_call(ucontext_t *u)
{
	long ret;

	if (!urt__context_restarts(u))
		return false;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &u->uc_sigmask, NULL,
		_NSIG / 8);
	ret = syscall(SYS_restart_syscall);
	urt__context_return(u, ret < 0 ? -*urt_errno_location() : ret);
	return true;
}

int urt_preempt_register(const void *address_in_library)
{
	unsigned n = atomic_load(&nr_allowed);

	if (!_dl_find_object)
		return 0; /* nothing is preempted by signal at all */
	if (!n)
		n = 1; /* the first is the program's */
	if (n == URT__ARRAY_LEN(allowed))
		return -ENOSPC;
	if (!object_of((uintptr_t)address_in_library, &allowed[n]))
		return -ENOENT;
	atomic_store_explicit(&nr_allowed, n + 1, memory_order_release);
	return 0;
}

#else

static void find_objects(void)
{
	possible = false;
}

int urt_preempt_register(const void *address_in_library)
{
	(void)address_in_library;
	return 0; /* nothing is preempted by signal at all */
}

static bool preempt(struct urt__worker *w, ucontext_t *u)
{
	(void)w, (void)u;
	return false;
}

static bool continue_call(ucontext_t *u)
{
	(void)u;
	return false;
}

#endif

/* ---- the handler ------------------------------------------------------- */

/* The world is stopped: this thread does nothing more. */
static void freeze(struct urt__worker *w, const void *context)
{
	atomic_store(&w->parked_signal, URT__FREEZING);
	urt__report_interrupted(w, context);
	atomic_store(&w->parked_signal, URT__FROZEN);
	for (;;)
		syscall(SYS_futex, &w->parked_signal,
			FUTEX_WAIT | FUTEX_PRIVATE_FLAG, URT__FROZEN, NULL,
			NULL, 0);
}

/* The timer of each worker's thread, by the worker's number. The monitor opens
 * and closes them. */
static struct {
	timer_t timer;
	_Atomic int tid; /* of the thread; 0: it has none */
} clocks[URT__WORKERS_MAX];
static unsigned nr_clocks;

/* False: the timer's thread has ended, and another one may have its tid. */
static bool again(unsigned i)
{
	return urt__sys_timer_start(clocks[i].timer) != -ESRCH;
}

/* Whether the worker has been woken, or its timers are due, and its thread has
 * not run since. */
static bool lacks_cpu(const struct urt__worker *w, int64_t now_ns)
{
	if (atomic_load_explicit(&w->word.where, memory_order_relaxed) !=
	    URT__ASLEEP)
		return false;
	switch (atomic_load(&w->state)) {
	case URT__W_RUNNING:
		return true;
	case URT__W_SLEEPING:
		return urt__ring_stranded(&w->ring) ||
		       now_ns - atomic_load_explicit(&w->until_ns,
						     memory_order_relaxed) >
			       LATE_NS;
	default:
		return false;
	}
}

/* Whether coroutines wait for a processor, or a processor for a CPU. */
static bool others_wait(int64_t now_ns)
{
	unsigned n = atomic_load(&urt__rt.nr_workers);

	if (urt__some_wait())
		return true;
	for (unsigned i = 0; i < urt__rt.nr_procs; i++)
		if (urt__runq_len(&urt__rt.proc[i]->runq))
			return true;
	for (unsigned i = 0; i < n; i++)
		if (lacks_cpu(atomic_load(&urt__rt.worker[i]), now_ns))
			return true;
	return false;
}

/* Sleeps until the thread has used no more than its share of the CPUs, but not
 * longer than NAP_MAX_NS; less if the world stops or the run ends. */
static void nap(struct urt__worker *w)
{
	unsigned n = atomic_load_explicit(&urt__astray, memory_order_relaxed);
	int64_t now_ns = urt__clock_ns(), cpu_ns = urt__worker_cpu_ns(w);
	int64_t used_ns = cpu_ns - w->napped_cpu_ns, ns;
	struct timespec ts;

	w->napped_cpu_ns = cpu_ns;
	atomic_store_explicit(&w->astray_ns, now_ns, memory_order_relaxed);
	if (n <= urt__rt.nr_procs || !others_wait(now_ns) ||
	    atomic_load(&urt__rt.stop))
		return;
	if (used_ns > USED_MAX_NS)
		used_ns = USED_MAX_NS;
	ns = used_ns * (n - urt__rt.nr_procs) / urt__rt.nr_procs;
	if (ns > NAP_MAX_NS)
		ns = NAP_MAX_NS;
	ts = (struct timespec){ 0, ns };
	syscall(SYS_futex, &w->parked_signal, FUTEX_WAIT | FUTEX_PRIVATE_FLAG,
		0, &ts, NULL, 0);
}

/* Whether it lost its processor as it blocked, and computes since. It may go
 * on until the run ends. */
static bool is_back(const struct urt__worker *w)
{
	return atomic_load(&w->state) == URT__W_DETACHED &&
	       !atomic_load_explicit(&w->hogging, memory_order_relaxed) &&
	       !atomic_load(&urt__rt.stop);
}

/* The coroutine was to be stopped, but must not be at this place. */
static void not_stopped(struct urt__worker *w)
{
	struct urt_coro *c = w->current;

	if (atomic_load(&w->state) == URT__W_DETACHED && c && !c->no_preempt &&
	    !urt__locks_held())
		nap(w);
	if (atomic_load(&clocks[w->index].tid) == atomic_load(&w->tid))
		again(w->index);
}

/* A timer's signal may come when the run's first thread is no longer a
 * worker's. The other threads block the signal at their ends. */
static bool is_ours(const struct urt__worker *w, const siginfo_t *info)
{
	if (info->si_code == SI_TIMER)
		return info->si_value.sival_ptr == &urt__rt;
	return w && info->si_code == SI_TKILL && info->si_pid == getpid();
}

static void on_urg(int sig, siginfo_t *info, void *context)
{
	struct urt__worker *w = urt__worker();
	int saved = *urt_errno_location();
	bool due, restarted;

	if (!is_ours(w, info)) {
		if (old_urg.sa_flags & SA_SIGINFO)
			old_urg.sa_sigaction(sig, info, context);
		else if (old_urg.sa_handler != SIG_DFL &&
			 old_urg.sa_handler != SIG_IGN)
			old_urg.sa_handler(sig);
		return;
	}
	if (!w)
		return;
	if (atomic_load(&w->parked_signal) == URT__FREEZE)
		freeze(w, context);
	if (atomic_load_explicit(&w->word.where, memory_order_relaxed) !=
	    URT__OUT)
		return;
	if (urt__debug.stall_ns && atomic_exchange(&w->stalled, false))
		urt__report_backtrace();
	due = urt__preempt_is_due(w);
	restarted = continue_call(context);
	if (due && (restarted || is_back(w) || !preempt(w, context)))
		not_stopped(w);
	*urt_errno_location() = saved;
}

static void clock_close(unsigned i)
{
	if (clocks[i].tid)
		timer_delete(clocks[i].timer);
	clocks[i].tid = 0;
}

/* Opens the timer for the thread that the worker has now. */
static bool clock_open(unsigned i, int tid)
{
	struct sigevent e = { .sigev_notify = SIGEV_THREAD_ID,
			      .sigev_signo = SIGURG,
			      .sigev_value.sival_ptr = &urt__rt };

	if (clocks[i].tid == tid)
		return true;
	clock_close(i);
	e._sigev_un._tid = tid;
	if (timer_create(urt__user_clock(tid), &e, &clocks[i].timer))
		return false;
	clocks[i].tid = tid;
	if (nr_clocks <= i)
		nr_clocks = i + 1;
	return true;
}

bool urt__may_preempt(void)
{
	return wanted && !urt__locks_held();
}

bool urt__preempt_is_due(const struct urt__worker *w)
{
	return atomic_load(&w->preempt) ==
	       urt__counted(w->stats, URT__STAT_SWITCHES) + 1;
}

void urt__preempt_soon(struct urt__worker *w)
{
	int tid = atomic_load(&w->tid);

	if (!possible || !tid || !clock_open(w->index, tid))
		return;
	atomic_store(&w->preempt,
		     urt__counted(w->stats, URT__STAT_SWITCHES) + 1);
	if (again(w->index))
		return;
	clock_close(w->index);
	if (clock_open(w->index, tid))
		again(w->index);
}

/* Signals the thread now, and ends its nap. */
static void interrupt(struct urt__worker *w)
{
	syscall(SYS_futex, &w->parked_signal, FUTEX_WAKE | FUTEX_PRIVATE_FLAG,
		1, NULL, NULL, 0);
	syscall(SYS_tgkill, getpid(), w->tid, SIGURG);
}

void urt__preempt_signal(struct urt__worker *w, bool also_preempt)
{
	if (also_preempt)
		atomic_store(&w->preempt,
			     urt__counted(w->stats, URT__STAT_SWITCHES) + 1);
	interrupt(w);
}

void urt__preempt_freeze(struct urt__worker *w)
{
	atomic_store(&w->parked_signal, URT__FREEZE);
	interrupt(w);
}

void urt__preempt_open(void)
{
	const char *s = getenv("URT_PREEMPT");
	struct sigaction sa = { .sa_sigaction = on_urg,
				.sa_flags =
					SA_SIGINFO | SA_ONSTACK | SA_RESTART };

	wanted = !s || strcmp(s, "off") != 0;
	find_objects();
	possible = possible && wanted;
	sigfillset(&sa.sa_mask);
	sigaction(SIGURG, &sa, &old_urg);
}

void urt__preempt_close(void)
{
	for (unsigned i = 0; i < nr_clocks; i++)
		clock_close(i);
	nr_clocks = 0;
	sigaction(SIGURG, &old_urg, NULL);
}
