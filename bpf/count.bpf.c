// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Counting in the kernel: context switches, system calls and io_uring
 * operations of the traced processes.
 *
 * Traced threads. A task is traced if it has an entry in the task storage `tasks`.
 * It gets one when the process that the tool starts executes its program, so that
 * nothing before the exec counts; when its traced parent forks it; and when it is
 * moved into the cgroup. Tasks that already run get theirs from the iterator. Most
 * other tasks have no storage of any kind, which one load shows.
 *
 * Counts. They go to one entry per CPU, or per CPU and class, in arrays that the tool
 * maps. Tracepoints run with preemption off, and none of these programs nests in
 * another that adds to the same counts on one CPU: no switch can happen inside
 * sys_enter's program. So plain additions are exact. That is also why fentry does not
 * count system calls, although it would spare untraced tasks the kernel's slow entry
 * path: fentry programs can be preempted, and while one is, those of all other tasks on
 * that CPU are skipped.
 *
 * Linux 7. There, programs on tracepoints can be preempted, too (seen on 7.2; in an
 * emulator, 1 of 100 system calls and forks was skipped next to other threads). Programs
 * on the trace events that perf uses still run with preemption off, at a higher price, so
 * a program named NAME_event does the work of NAME there, unless perf's events are
 * forbidden. A fork is seen at the child's first
 * wake-up, which happens under a lock of the scheduler; before Linux 7, allocating
 * storage is not safe there. The tool adds the events that the kernel skipped to `lost`.
 *
 * Also rejected: perf events of the traced tasks alone. raw_syscalls:sys_enter is
 * opened per task, and a BPF program runs at perf_tp_event, which only these tasks
 * reach, with preemption off. Medians of 7 rounds: an untraced task pays 9 ns for a
 * system call instead of 33. A traced one pays 33 ns, instead of 41, before it has
 * counted anything by name, and 268 ns instead of 115 for each switch, which then takes
 * its events off the CPU. A BPF program attached to such an event by
 * PERF_EVENT_IOC_SET_BPF runs for all tasks: the kernel keeps it with the tracepoint.
 * Most of the 33 ns are the way to the program: an empty one takes 35.
 *
 * Voluntary switches. We do not guess from the state of the task: before the
 * tracepoint, the kernel has added to one of the task's own counters, nvcsw or nivcsw,
 * and we look which has grown (kernel/sched/core.c, __schedule). We also add up the
 * growth of these counters next to our own count of events. If we missed an event, the
 * two would differ, and the tool would say so.
 *
 * The system call in which a thread switched. The kernel keeps its number with the
 * saved user registers, and -1 there if the thread entered by an exception or an
 * interrupt. So we need not remember anything at sys_enter. Only in the second case,
 * which is rare, we search the kernel stack to see whether the thread waits for a page.
 *
 * Times. They also need the moment when a thread is switched to. The event of the
 * thread that leaves tells this, and nothing else does. Some kernels run no programs
 * while some threads are current: on one machine, the idle task of the second CPU and
 * the threads of its init. perf lacks these events, too; tracefs has them. A burst
 * without a beginning is not in the histogram; the tool prints their number. Counts lack
 * nothing, unless such a thread is counted: they are taken where the thread is current.
 *
 * Threads of io_uring (PF_IO_WORKER). The fork tracepoint does not announce them. They
 * belong to the thread group of a traced leader, and are looked up there. `io_threads`
 * keeps their state by pid; it is preallocated, because a switch is no place to
 * allocate.
 *
 * A figure that is not wanted costs nothing: the constants below are known when
 * the programs are loaded, and the kernel drops the code behind them.
 */
#define BPF_NO_KFUNC_PROTOTYPES /* in vmlinux.h; count.bpf.c declares its own */
#ifdef URT_NO_BTF
#include "vmlinux_min.h"
#else
#include "vmlinux.h"
#endif
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "count.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define TASK_DEAD    0x00000080 /* in __state: will not run again */
#define PF_IO_WORKER 0x00000010
#define PF_KTHREAD   0x00200000
#define STACK_DEPTH  64
#define CGROUP_DEPTH 32

#include "ns.bpf.h"
#include "track.bpf.h"

#if defined(__TARGET_ARCH_x86)
#define TS_COMPAT	 0x0002
#define SYSCALL_OF(regs) ((regs)->orig_ax)
static __always_inline bool is_32_bit(struct task_struct *t)
{
	return t->thread_info.status & TS_COMPAT;
}
#else
#define TIF_32BIT	 22
#define SYSCALL_OF(regs) ((regs)->syscallno)
static __always_inline bool is_32_bit(struct task_struct *t)
{
	return t->thread_info.flags & (1 << TIF_32BIT);
}
#endif

/* The system call that t is in, or URT_NO_SYSCALL. */
static __always_inline u64 where(struct task_struct *t)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(t);
	u64 nr = (u32)SYSCALL_OF(regs);

	/* Without this, where nr has only 32 bits, as on aarch64, clang compares
	 * only these, which gives the verifier of Linux 6.1 no bounds. */
	asm volatile("" : "+r"(nr));
	if (nr > 0x7fffffff)
		return URT_NO_SYSCALL;
	if (nr >= URT_SYSCALLS || is_32_bit(t))
		return URT_SYSCALL_OTHER;
	return nr;
}

#include "by.bpf.h"

/* Whether the kernel stack of the current task passes through a page fault. */
static __always_inline bool in_page_fault(void *ctx)
{
	u32 zero = 0;
	u64 *stack = bpf_map_lookup_elem(&stacks, &zero);
	long size;

	if (!fault_from || !stack)
		return false;
	size = bpf_get_stack(ctx, stack, STACK_DEPTH * sizeof(u64), 0);
	for (int i = 0; i < STACK_DEPTH; i++) {
		if (i * 8 >= size)
			break;
		if (stack[i] >= fault_from && stack[i] < fault_to)
			return true;
	}
	return false;
}

static __always_inline int log_of(u64 ns)
{
	int n = 0;

	for (int step = 32; step; step >>= 1)
		if (ns >> step) {
			ns >>= step;
			n += step;
		}
	return n < URT_TIME_LOGS ? n : URT_TIME_LOGS - 1;
}

#include "latency.bpf.h"

/*
 * The clock of switches. Rows have only sums of times, for which the clock that the
 * scheduler has just read for the run queue will do: 2 ns instead of 32. prev is current,
 * so its run queue is this CPU's.
 */
static __always_inline u64 switch_clock(struct task_struct *prev)
{
	if (want_times || want_threads)
		return bpf_ktime_get_ns();
	if (!by)
		return 0;
	if (!bpf_core_field_exists(struct cfs_rq, rq))
		return bpf_ktime_get_ns();
	return prev->se.cfs_rq->rq->clock;
}

static __always_inline u64 since(u64 then, u64 now)
{
	return now > then ? now - then : 0;
}

/* How long a thread has run that leaves; 0: not known. */
static __always_inline u64 ran_for(struct urt_task *st, u64 now)
{
	if (!st->in_ns)
		return 0;
	if (st->in_ktime) {
		st->in_ktime = 0;
		now = bpf_ktime_get_ns();
	}
	return since(st->in_ns, now);
}

static __always_inline void ran(struct urt_task *st, struct urt_counts *c,
				u64 ns, u64 now)
{
	struct urt_thread *th = want_threads ? thread_at(st->thread) : 0;
	u32 log = log_of(ns);

	if (want_times && st->in_ns && log < URT_TIME_LOGS) {
		c->on_cpu[log]++;
		c->on_cpu_ns += ns;
	}
	if (th) {
		th->on_cpu_ns += ns;
		th->in_ns = 0;
	}
	st->in_ns = 0;
	st->out_ns = now;
}

static __always_inline void runs(struct task_struct *t, u64 now)
{
	struct urt_task *st = task_find(t);
	struct urt_by_task *b = by_of(st);
	int class = st ? task_class(t) : io_class(t);
	struct urt_thread *th;
	struct urt_counts *c;
	u64 ns;
	u32 log;

	if (class < 0)
		return;
	c = counts_of(class);
	if (!st)
		st = io_thread(t, class);
	if (!st || !c)
		return;
	st->in_ns = now;
	th = want_threads ? thread_at(st->thread) : 0;
	if (th)
		th->in_ns = now;
	if (!st->out_ns)
		return;
	ns = since(st->out_ns, now);
	if (by)
		by_runs(st, b, ns);
	if (!want_times)
		return;
	log = log_of(ns);
	if (log < URT_TIME_LOGS)
		c->off_cpu[log]++;
	c->off_cpu_ns += ns;
}

/* Adds what the kernel counted since the last look; true: the switch is voluntary. */
static __always_inline bool
kernel_counts(struct task_struct *t, struct urt_task *st, struct urt_counts *c)
{
	bool voluntary = t->nvcsw != st->nvcsw;
	u64 v = t->nvcsw - st->nvcsw, n = t->nivcsw - st->nivcsw;

	if (st->fresh) {
		/* t may have switched between first_look and task_add's storing. */
		v = voluntary;
		n = !voluntary;
		st->fresh = 0;
	}
	c->nvcsw += v;
	c->nivcsw += n;
	st->nvcsw = t->nvcsw;
	st->nivcsw = t->nivcsw;
	return voluntary;
}

static __always_inline u32 cause_of(void *ctx, struct task_struct *t, u32 class,
				    u64 at, bool voluntary)
{
	if (t->__state & TASK_DEAD)
		return URT_CAUSE_EXIT;
	if (!voluntary)
		return URT_CAUSE_PREEMPTION;
	if (class != URT_CLASS_APP)
		return URT_CAUSE_OTHER;
	if (at != URT_NO_SYSCALL)
		return URT_CAUSE_SYSCALL;
	return in_page_fault(ctx) ? URT_CAUSE_FAULT : URT_CAUSE_OTHER;
}

static __always_inline void last_switch(struct task_struct *t, u32 class,
					struct urt_task *st,
					struct urt_counts *c)
{
	u32 pid = t->pid;

	c->ended++;
	if (st->command)
		__sync_fetch_and_sub(&command_threads, 1);
	if (want_threads && st->thread) {
		struct urt_thread *th = thread_at(st->thread);

		if (th) {
			bpf_probe_read_kernel(th->comm, sizeof(th->comm),
					      t->comm);
			th->state = URT_THREAD_ENDED;
		}
	}
	if (class == URT_CLASS_IOU_WRK || class == URT_CLASS_IOU_SQP)
		bpf_map_delete_elem(&io_threads, &pid);
}

/* b: the thread's rows; io_uring's threads have none. */
static __always_inline void leaves(void *ctx, struct task_struct *t,
				   struct urt_task *st, struct urt_by_task *b,
				   u32 class, u64 now)
{
	struct urt_counts *c = counts_of(class);
	struct urt_calls *calls = calls_here();
	u64 at = URT_NO_SYSCALL, ns = 0;
	bool voluntary;
	u32 cause;

	if (!c || !calls)
		return;
	calls->running = 0;
	voluntary = kernel_counts(t, st, c);
	if (voluntary)
		c->voluntary++;
	else
		c->involuntary++;
	if (class == URT_CLASS_APP) {
		at = where(t);
		if (at < URT_SYSCALL_SLOTS)
			calls->switches_in[at]++;
	}
	cause = cause_of(ctx, t, class, at, voluntary);
	if (cause < URT_CAUSES)
		c->cause[cause]++;
	if (now)
		ns = ran_for(st, now);
	if (by)
		by_switch(t, st, b, at, cause, voluntary, ns);
	if (now)
		ran(st, c, ns, now);
	if (want_threads) {
		struct urt_thread *th = thread_at(st->thread);

		if (th && voluntary)
			th->voluntary++;
		else if (th)
			th->involuntary++;
		if (th)
			th->cgroup = bpf_get_current_cgroup_id();
	}
	if (t->__state & TASK_DEAD)
		last_switch(t, class, st, c);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev,
	     struct task_struct *next)
{
	struct urt_task *st;
	u64 now;

	if (empty || (by && stopped))
		return 0;
	st = task_find(prev);
	now = switch_clock(prev);
	if (st) {
		leaves(ctx, prev, st, by_of(st), task_class(prev), now);
	} else if (prev->flags & PF_IO_WORKER) {
		int class = io_class(prev);

		if (class >= 0) {
			st = io_thread(prev, class);
			if (st)
				leaves(ctx, prev, st, 0, class, now);
			else
				__sync_fetch_and_add(&lost, 1);
		}
	}
	if (now)
		runs(next, now);
	return 0;
}

/*
 * To look for the entry of `tasks` at each call would take a third of the time of
 * counting (24 of 82 ns). So each CPU remembers the thread whose entry it has found,
 * until that thread leaves the CPU. A thread can leave the cgroup without a switch.
 */
static __always_inline bool is_known(struct task_struct *t, struct urt_calls *c)
{
	if (c->running == (u64)t)
		return true;
	if (!task_find(t))
		return false;
	if (!cgroup_id)
		c->running = (u64)t;
	return true;
}

static __always_inline int enters(u64 nr)
{
	struct task_struct *t;
	struct urt_task *st = 0;
	struct urt_calls *c;

	if (empty)
		return 0;
	t = bpf_get_current_task_btf();
	if (!t->bpf_storage)
		return 0;
	if (by && stopped) {
		if (by == URT_BY_CONTEXT)
			by_forget_call(by_of(task_find(t)));
		return 0;
	}
	c = calls_here();
	if (!c)
		return 0;
	if (want_latency || want_threads || by) {
		st = task_find(t);
		if (!st)
			return 0;
	} else if (!is_known(t, c)) {
		return 0;
	}
	if (is_32_bit(t))
		c->made_32[nr & (URT_SYSCALLS_32 - 1)]++;
	else
		c->made[nr < URT_SYSCALLS ? nr : URT_SYSCALL_OTHER]++;
	if (want_latency && st)
		call_begins(t, st, nr);
	if (by && is_32_bit(t))
		by_syscall(t, by_of(st), nr & (URT_SYSCALLS_32 - 1),
			   URT_BY_SYSCALL_32);
	else if (by)
		by_syscall(t, by_of(st),
			   nr < URT_SYSCALLS ? nr : URT_SYSCALL_OTHER,
			   URT_BY_SYSCALL);
	if (want_threads && st) {
		struct urt_thread *th = thread_at(st->thread);

		if (th)
			th->syscalls++;
	}
	return 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(on_syscall, struct pt_regs *regs, long id)
{
	return enters(id);
}

SEC("tp/raw_syscalls/sys_enter")
int on_syscall_event(struct trace_event_raw_sys_enter *e)
{
	return enters(e->id);
}

/* Whether g is the cgroup that is counted, or below it. */
static __always_inline bool in_cgroup(struct cgroup *g)
{
	struct cgroup *up = 0;
	char *ancestors;
	int level;

	if (!cgroup_id || !g)
		return false;
	ancestors = (char *)g + __builtin_preserve_field_info(
					g->ancestors, BPF_FIELD_BYTE_OFFSET);
	level = BPF_CORE_READ(g, level);
	for (int i = 0; i < CGROUP_DEPTH && i <= level; i++) {
		bpf_probe_read_kernel(&up, sizeof(up),
				      ancestors + i * sizeof(up));
		if (up && BPF_CORE_READ(up, kn, id) == cgroup_id)
			return true;
	}
	return false;
}

/* clone3 with CLONE_INTO_CGROUP creates a child in another cgroup than its parent's.
 * No move announces that; at these tracepoints, the child is already in its cgroup. */
static __always_inline int forked(struct task_struct *parent,
				  struct task_struct *child)
{
	struct urt_task *st = task_find(parent);

	if (no_inherit == URT_COUNT_NO_THREADS ||
	    (no_inherit && child->pid == child->tgid))
		return 0;
	if (cgroup_id) {
		if (in_cgroup(BPF_CORE_READ(child, cgroups, dfl_cgrp)))
			task_add(child, st, false);
	} else if (attach_all || st ||
		   (attach_tgid && has_tgid(parent, attach_tgid))) {
		task_add(child, st, false);
	}
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	return forked(parent, child);
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(on_first_wakeup, struct task_struct *child)
{
	if (child->flags & PF_IO_WORKER)
		return 0;
	return forked(bpf_get_current_task_btf(), child);
}

static __always_inline void set_name(struct urt_task *st, const char *name)
{
	struct urt_thread *th = st ? thread_at(st->thread) : 0;

	if (th && st->thread)
		bpf_probe_read_kernel_str(th->comm, sizeof(th->comm), name);
}

/* The thread or another one of its process gave the name. Only loaded if threads are
 * wanted. */
SEC("tp_btf/task_rename")
int BPF_PROG(on_rename, struct task_struct *t, const char *name)
{
	set_name(task_find(t), name);
	return 0;
}

/* The exec itself counts as a system call, as it does for strace. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *p, int old_pid,
	     struct linux_binprm *bprm)
{
	struct urt_calls *c = calls_here();
	struct urt_task *st = task_find(p);
	u64 nr = nr_execve;

	if (by) {
		struct urt_by_task *b = by_of(st);

		if (b)
			b->own = b->generation = 0; /* a new name and image */
		by_forget_call(b);
		if (b && by == URT_BY_CONTEXT)
			by_image(p);
	}
	if (want_threads && st) {
		struct urt_thread *th = thread_at(st->thread);

		if (th && st->thread) {
			bpf_probe_read_kernel(th->comm, sizeof(th->comm),
					      p->comm);
			th->pid = pid_of(p); /* it takes its leader's number */
		}
	}
	if (!start_tgid || !has_tgid(p, start_tgid) || !c)
		return 0;
	start_tgid = 0;
	command_tgid = p->tgid;
	task_add(p, 0, false);
	st = task_find(p);
	if (st) {
		st->in_ns = bpf_ktime_get_ns();
		st->in_ktime = 1;
	}
	if (nr < URT_SYSCALLS) {
		c->made[nr]++;
		if (by)
			by_syscall(p, by_of(st), nr, URT_BY_SYSCALL);
	}
	return 0;
}

static __always_inline void io_thread_found(struct task_struct *t)
{
	struct urt_counts *c = counts_of(io_thread_class(t));
	struct urt_task first;
	u32 pid = t->pid;

	if (!c)
		return;
	first = first_look(t, io_thread_class(t));
	first.fresh = 1;
	since_now(t, &first);
	if (!bpf_map_update_elem(&io_threads, &pid, &first, BPF_NOEXIST)) {
		__sync_fetch_and_add(&c->tasks, 1);
		return;
	}
	thread_give_back(first.thread);
	if (!bpf_map_lookup_elem(&io_threads, &pid))
		__sync_fetch_and_add(&lost, 1);
}

static __always_inline void thread_found(struct task_struct *t)
{
	if (t->flags & PF_IO_WORKER)
		io_thread_found(t);
	else
		task_add(t, 0, true);
}

static __always_inline void moved(struct task_struct *t, bool in)
{
	bool io = t->flags & PF_IO_WORKER;
	struct urt_counts *c;
	u32 pid = t->pid;

	if (in) {
		thread_found(t);
		return;
	}
	if (io ? bpf_map_delete_elem(&io_threads, &pid) != 0 : !task_find(t))
		return;
	c = counts_of(io ? io_thread_class(t) : task_class(t));
	if (c)
		__sync_fetch_and_add(&c->ended, 1);
	if (!io)
		task_forget(t);
}

/* Linux 6.7. The declarations of vmlinux.h, if it has any, are of another struct. */
#ifndef URT_OLD_LIBBPF
struct urt_task_iter {
	u64 opaque[3];
};
enum { THREADS_OF_PROCESS = 2 };

extern int bpf_iter_task_new(struct urt_task_iter *it, struct task_struct *t,
			     unsigned int flags) __ksym __weak;
extern struct task_struct *
bpf_iter_task_next(struct urt_task_iter *it) __ksym __weak;
extern void bpf_iter_task_destroy(struct urt_task_iter *it) __ksym __weak;
extern struct task_struct *bpf_task_from_pid(s32 pid) __ksym __weak;
extern void bpf_task_release(struct task_struct *t) __ksym __weak;

/* Not static: the verifier looks at it once, not at each step of a loop. */
__noinline int thread_moved(int pid, bool in)
{
	struct task_struct *t;

	if (!bpf_task_from_pid || !bpf_task_release)
		return 0;
	t = bpf_task_from_pid(pid);
	if (!t)
		return 0;
	moved(t, in);
	bpf_task_release(t);
	return 0;
}

/* io: io_uring's threads, or the others. */
static __always_inline void threads_moved(struct task_struct *leader, bool in,
					  bool io)
{
	struct task_struct *t;
	struct urt_task_iter it;

	bpf_iter_task_new(&it, leader, THREADS_OF_PROCESS);
	while ((t = bpf_iter_task_next(&it)))
		if (io == !!(t->flags & PF_IO_WORKER))
			thread_moved(t->pid, in);
	bpf_iter_task_destroy(&it);
}
#endif

/*
 * A thread counts from when it is moved into the cgroup until it is moved out. Of a
 * process, only the first thread is announced, after all of its threads have moved. As
 * find_threads, this begins with io_uring's.
 */
SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(on_move, struct cgroup *to, const char *path,
	     struct task_struct *t, bool threadgroup)
{
	bool in = in_cgroup(to);

	if (!cgroup_id)
		return 0;
#ifndef URT_OLD_LIBBPF
	if (threadgroup && bpf_iter_task_new) {
		threads_moved(t, in, true);
		threads_moved(t, in, false);
		return 0;
	}
#endif
	if (threadgroup && (in || task_find(t)))
		__sync_fetch_and_add(&lost, t->signal->nr_threads - 1);
	moved(t, in);
	return 0;
}

#define ANCESTORS 64 /* how many are looked at */

static __always_inline bool is_descendant(struct task_struct *t)
{
	struct task_struct *up = t->real_parent;

	for (int i = 0; i < ANCESTORS && up && up->pid; i++) {
		if (has_tgid(up, attach_tgid))
			return true;
		up = up->real_parent;
	}
	return false;
}

static __always_inline bool wanted(struct task_struct *t)
{
	if (attach_all)
		return true;
	if (cgroup_id)
		return in_cgroup(BPF_CORE_READ(t, cgroups, dfl_cgrp));
	if (attach_tid)
		return has_pid(t, attach_tid);
	return has_tgid(t, attach_tgid) || (want_children && is_descendant(t));
}

/*
 * The tool runs this twice to find the threads of running processes: first io_uring's
 * threads, so that they are known when their leader begins to count.
 */
SEC("iter/task")
int find_threads(struct bpf_iter__task *ctx)
{
	struct task_struct *t = ctx->task;

	if (!t || !wanted(t))
		return 0;
	if (attach_io_threads == !!(t->flags & PF_IO_WORKER))
		thread_found(t);
	return 0;
}

/*
 * The tool runs this at each look if times are wanted. It adds up, over all counted
 * threads, the times on or off the CPU that have not ended yet.
 */
SEC("iter/task")
int sum_open(struct bpf_iter__task *ctx)
{
	struct task_struct *t = ctx->task;
	struct urt_task *st;
	u32 pid, log;
	u64 ns;

	if (!t)
		return 0;
	pid = t->pid;
	st = t->flags & PF_IO_WORKER ? bpf_map_lookup_elem(&io_threads, &pid)
				     : task_find(t);
	if (!st)
		return 0;
	ns = bpf_ktime_get_ns();
	if (st->in_ns && ns > st->in_ns) {
		ns -= st->in_ns;
		log = log_of(ns);
		if (log < URT_TIME_LOGS)
			open_times.on_cpu[log]++;
		open_times.on_cpu_ns += ns;
	} else if (!st->in_ns && st->out_ns && ns > st->out_ns) {
		ns -= st->out_ns;
		log = log_of(ns);
		if (log < URT_TIME_LOGS)
			open_times.off_cpu[log]++;
		open_times.off_cpu_ns += ns;
	}
	return 0;
}

#include "uring.bpf.h"
