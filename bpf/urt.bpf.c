// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Counting in the kernel: context switches, system calls and io_uring
 * operations of the traced processes.
 *
 * Who is traced: a task that has an entry in the task storage `tasks`. It gets
 * one when the process that the tool starts executes its program (so nothing
 * before the exec counts), when a traced task forks, or, for a process that
 * is running already, by the iterator. Others cost one look-up.
 *
 * Where counts go: one entry per thread class in a per-CPU array. Tracepoints
 * run with preemption off and none of these nests in another of the same
 * counts on one CPU (a switch inside sys_enter's program cannot happen), so
 * plain additions are exact.
 *
 * Voluntary or not is not guessed from the state of the task: the kernel has
 * just added to one of the task's own counters, nvcsw or nivcsw, before the
 * tracepoint; we look which (kernel/sched/core.c, __schedule). The growth of
 * those counters is added up beside our own count of events: were an event
 * missed, the two would differ, and the tool says so.
 *
 * In which system call a thread switched: its saved user registers still hold
 * the address that it had at sys_enter; if they do not, it is in a page fault
 * or was preempted in user space. So no program is needed at sys_exit.
 *
 * Threads that io_uring creates (PF_IO_WORKER) are not announced by the fork
 * tracepoint. They belong to the thread group of a traced leader, and are
 * looked up there; their last counters are kept by pid in `io_threads`, which
 * is preallocated since a switch is no place to allocate.
 */
#ifdef URT_NO_BTF
#include "vmlinux_min.h"
#else
#include "vmlinux.h"
#endif
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "urt_bpf.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define TASK_DEAD    0x00000080 /* in __state: will not run again */
#define PF_IO_WORKER 0x00000010

/* Only what is read of it; the suffix lets libbpf match struct io_kiocb. */
struct io_kiocb___urt {
	u8 opcode;
} __attribute__((preserve_access_index));

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct urt_task);
} tasks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u32);
	__type(value, struct urt_task);
} io_threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, URT_CLASSES);
	__type(key, u32);
	__type(value, struct urt_counts);
} counts SEC(".maps");

/* Set by the tool. */
int start_tgid = 0;	   /* counts from its exec */
int attach_tgid = 0;	   /* running already */
int attach_io_threads = 0; /* what find_threads looks for */
const volatile int nr_execve = 59;

/* Events that could not be counted: a map was full. */
unsigned long long lost = 0;

static __always_inline struct urt_counts *counts_of(u32 class)
{
	return bpf_map_lookup_elem(&counts, &class);
}

static __always_inline struct urt_task *task_find(struct task_struct *t)
{
	return bpf_task_storage_get(&tasks, t, 0, 0);
}

/* What is known of a thread at the first look. */
static __always_inline struct urt_task first_look(struct task_struct *t)
{
	struct urt_task first = {};

	first.nvcsw = t->nvcsw;
	first.nivcsw = t->nivcsw;
	first.syscall = URT_NO_SYSCALL;
	return first;
}

static __always_inline void task_add(struct task_struct *t)
{
	struct urt_counts *c = counts_of(URT_CLASS_APP);
	struct urt_task first = first_look(t);

	if (task_find(t))
		return;
	/* Whole from the first moment: t may switch on another CPU. */
	if (!c || !bpf_task_storage_get(&tasks, t, &first,
					BPF_LOCAL_STORAGE_GET_F_CREATE)) {
		__sync_fetch_and_add(&lost, 1);
		return;
	}
	c->tasks++;
}

/* Of an io_uring thread, by its name: iou-wrk-PID or iou-sqp-PID. */
static __always_inline int io_thread_class(struct task_struct *t)
{
	return t->comm[4] == 's' ? URT_CLASS_IOU_SQP : URT_CLASS_IOU_WRK;
}

/* The class of an io_uring thread of a traced process, or -1. */
static __always_inline int io_class(struct task_struct *t)
{
	if (!(t->flags & PF_IO_WORKER) || !task_find(t->group_leader))
		return -1;
	return io_thread_class(t);
}

static __always_inline struct urt_task *io_thread(u32 pid, struct urt_counts *c)
{
	struct urt_task *st = bpf_map_lookup_elem(&io_threads, &pid);
	struct urt_task fresh = {};

	if (st)
		return st;
	fresh.syscall = URT_NO_SYSCALL;
	c->tasks++;
	bpf_map_update_elem(&io_threads, &pid, &fresh, BPF_ANY);
	return bpf_map_lookup_elem(&io_threads, &pid);
}

static __always_inline u64 where(struct task_struct *t, struct urt_task *st)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(t);

	if (st->syscall >= URT_NO_SYSCALL || PT_REGS_IP(regs) != st->syscall_ip)
		return URT_NO_SYSCALL;
	return st->syscall;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev,
	     struct task_struct *next)
{
	struct urt_task *st = task_find(prev);
	struct urt_counts *c;
	int class = URT_CLASS_APP;
	u64 at;

	if (!st)
		class = io_class(prev);
	if (class < 0)
		return 0;
	c = counts_of(class);
	if (!c)
		return 0;
	if (!st)
		st = io_thread(prev->pid, c);
	if (!st) {
		__sync_fetch_and_add(&lost, 1);
		return 0;
	}
	if (prev->nvcsw != st->nvcsw)
		c->voluntary++;
	else
		c->involuntary++;
	c->nvcsw += prev->nvcsw - st->nvcsw;
	c->nivcsw += prev->nivcsw - st->nivcsw;
	st->nvcsw = prev->nvcsw;
	st->nivcsw = prev->nivcsw;
	at = class == URT_CLASS_APP ? where(prev, st) : URT_NO_SYSCALL;
	if (at < URT_SYSCALL_SLOTS)
		c->switches_in[at]++;
	if (prev->__state & TASK_DEAD) {
		u32 pid = prev->pid;

		c->ended++;
		if (class != URT_CLASS_APP)
			bpf_map_delete_elem(&io_threads, &pid);
	}
	return 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(on_syscall, struct pt_regs *regs, long id)
{
	struct urt_task *st = task_find(bpf_get_current_task_btf());
	struct urt_counts *c;
	u64 nr = id;

	if (!st)
		return 0;
	c = counts_of(URT_CLASS_APP);
	if (!c)
		return 0;
	if (nr >= URT_SYSCALLS)
		nr = URT_SYSCALL_OTHER;
	st->syscall = nr;
	st->syscall_ip = PT_REGS_IP(regs);
	c->syscalls[nr]++;
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	if (task_find(parent) || (attach_tgid && parent->tgid == attach_tgid))
		task_add(child);
	return 0;
}

/* The exec itself counts as a system call, as it does for strace. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *p, int old_pid,
	     struct linux_binprm *bprm)
{
	struct urt_counts *c = counts_of(URT_CLASS_APP);
	u64 nr = nr_execve;

	if (!start_tgid || p->tgid != start_tgid || !c)
		return 0;
	start_tgid = 0;
	task_add(p);
	if (nr < URT_SYSCALLS)
		c->syscalls[nr]++;
	return 0;
}

/*
 * Run twice by the tool, to find the threads of a running process: first those
 * of io_uring's, so that they are known when their leader begins to count.
 */
SEC("iter/task")
int find_threads(struct bpf_iter__task *ctx)
{
	struct task_struct *t = ctx->task;
	struct urt_task first;
	struct urt_counts *c;
	u32 pid;

	if (!t || t->tgid != attach_tgid)
		return 0;
	if (!(t->flags & PF_IO_WORKER)) {
		if (!attach_io_threads)
			task_add(t);
		return 0;
	}
	c = counts_of(io_thread_class(t));
	if (!attach_io_threads || !c)
		return 0;
	pid = t->pid;
	first = first_look(t);
	bpf_map_update_elem(&io_threads, &pid, &first, BPF_ANY);
	c->tasks++;
	return 0;
}

/*
 * io_uring. Requests are submitted by the thread that entered, or by iou-sqp;
 * completions are posted by whoever finishes the request.
 */
static __always_inline struct urt_counts *current_counts(void)
{
	struct task_struct *t = bpf_get_current_task_btf();
	int class = task_find(t) ? URT_CLASS_APP : io_class(t);

	return class < 0 ? 0 : counts_of(class);
}

static __always_inline int submitted(void *req)
{
	struct urt_counts *c = current_counts();
	u8 op;

	if (!c)
		return 0;
	op = BPF_CORE_READ((struct io_kiocb___urt *)req, opcode);
	if (op < URT_URING_OPS)
		c->submitted[op]++;
	return 0;
}

SEC("tp_btf/io_uring_submit_req") /* since 6.4 */
int BPF_PROG(on_submit_req, void *req)
{
	return submitted(req);
}

SEC("tp_btf/io_uring_submit_sqe") /* its name before */
int BPF_PROG(on_submit_sqe, void *req)
{
	return submitted(req);
}

SEC("tp_btf/io_uring_queue_async_work")
int BPF_PROG(on_punt, void *req)
{
	struct urt_counts *c = current_counts();
	u8 op;

	if (!c)
		return 0;
	op = BPF_CORE_READ((struct io_kiocb___urt *)req, opcode);
	if (op < URT_URING_OPS)
		c->punted[op]++;
	return 0;
}

SEC("tp_btf/io_uring_complete")
int BPF_PROG(on_complete)
{
	struct urt_counts *c = current_counts();

	if (c)
		c->completed++;
	return 0;
}
