// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Where threads are. Threads that run are sampled. For threads that do not run, the
 * time is taken, with the stack at which they left the CPU and the stack of the thread
 * that woke them. All of it is added up in the kernel, by equal stacks.
 *
 * `off` has an entry for each thread that is off the CPU, from its switch away to its
 * next run. Entries that are left at the end are waits that have not ended; the tool
 * adds them. find_sleepers makes entries without a stack for threads that already
 * sleep when profiling begins, so that no time is missing.
 *
 * The kernel follows the stacks of programs by frame pointers.
 */
#ifdef URT_NO_BTF
#include "vmlinux_min.h"
#else
#include "vmlinux.h"
#endif
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "profile.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define TASK_DEAD  0x00000080
#define PF_KTHREAD 0x00200000

#include "ns.bpf.h"

struct bpf_perf_event_data;

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, PROFILE_STACKS);
	__uint(key_size, sizeof(u32));
	__uint(value_size, PROFILE_FRAMES * sizeof(u64));
} stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PROFILE_SUMS);
	__type(key, struct profile_key);
	__type(value, struct profile_sum);
} sums SEC(".maps");

/* By the thread's PID in the initial namespace. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, u32);
	__type(value, struct profile_off);
} off SEC(".maps");

/* Processes, by the address of their signal_struct, which all threads of a process
 * share up to its end; its PID may be another's before on_free. 1: counts; 0: counts
 * from its next exec on. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, u32);
} targets SEC(".maps");

const volatile bool want_tids = false;
const volatile bool want_children = false;
const volatile unsigned long long period_ns = 0; /* of samples */
int attach_tgid = 0;  /* the process that find_sleepers adds */
int attach_armed = 0; /* whether it counts before its next exec */
unsigned long long lost = 0;

static __always_inline bool is_target(struct task_struct *t)
{
	u64 process = (u64)t->signal;
	u32 *on = bpf_map_lookup_elem(&targets, &process);

	return on && *on && !(t->flags & PF_KTHREAD);
}

static __always_inline u64 program_of(struct task_struct *t)
{
	struct mm_struct *mm = t->mm;

	return mm ? PROFILE_PROGRAM(mm->start_stack, mm->end_code) : 0;
}

static __always_inline void name_it(struct profile_key *k,
				    struct task_struct *t, u32 kind)
{
	k->kind = kind;
	k->tgid = tgid_of(t);
	k->program = program_of(t);
	k->tid = want_tids ? pid_of(t) : 0;
	k->user = k->kernel = PROFILE_NO_STACK;
	k->waker_user = k->waker_kernel = PROFILE_NO_STACK;
	bpf_probe_read_kernel(k->comm, sizeof(k->comm), t->comm);
}

static __always_inline s32 stack_id(void *ctx, u64 flags)
{
	long id = bpf_get_stackid(ctx, &stacks, flags);

	return id < 0 ? PROFILE_NO_STACK : id;
}

static __always_inline void add(const struct profile_key *k, u64 ns)
{
	struct profile_sum *s = bpf_map_lookup_elem(&sums, k);
	struct profile_sum first = {};

	if (!s) {
		bpf_map_update_elem(&sums, k, &first, BPF_NOEXIST);
		s = bpf_map_lookup_elem(&sums, k);
	}
	if (!s) {
		__sync_fetch_and_add(&lost, 1);
		return;
	}
	__sync_fetch_and_add(&s->n, 1);
	__sync_fetch_and_add(&s->ns, ns);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev,
	     struct task_struct *next)
{
	u64 now = bpf_ktime_get_ns();
	struct profile_off *was;
	u32 pid;

	if (is_target(prev) && !(prev->__state & TASK_DEAD)) {
		struct profile_off o = { .since_ns = now };

		name_it(&o.key, prev, PROFILE_OFF_CPU);
		o.key.user = stack_id(ctx, BPF_F_USER_STACK);
		o.key.kernel = stack_id(ctx, 0);
		pid = prev->pid;
		if (bpf_map_update_elem(&off, &pid, &o, BPF_ANY))
			__sync_fetch_and_add(&lost, 1);
	}
	if (!is_target(next))
		return 0;
	pid = next->pid;
	was = bpf_map_lookup_elem(&off, &pid);
	if (!was)
		return 0;
	if (now > was->since_ns)
		add(&was->key, now - was->since_ns);
	bpf_map_delete_elem(&off, &pid);
	return 0;
}

/* Runs in the thread that wakes t, or in an interrupt; the kernel stack tells which. */
SEC("tp_btf/sched_waking")
int BPF_PROG(on_waking, struct task_struct *t)
{
	struct task_struct *waker = bpf_get_current_task_btf();
	struct profile_off *o;
	u32 pid = t->pid;

	if (!is_target(t))
		return 0;
	o = bpf_map_lookup_elem(&off, &pid);
	if (!o)
		return 0;
	o->key.waker_tgid = tgid_of(waker);
	o->key.waker_program = program_of(waker);
	o->key.waker_kernel = stack_id(ctx, 0);
	if (!(waker->flags & PF_KTHREAD))
		o->key.waker_user = stack_id(ctx, BPF_F_USER_STACK);
	bpf_probe_read_kernel(o->key.waker, sizeof(o->key.waker), waker->comm);
	return 0;
}

SEC("perf_event")
int on_sample(struct bpf_perf_event_data *ctx)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct profile_key k = {};

	if (!is_target(t))
		return 0;
	name_it(&k, t, PROFILE_ON_CPU);
	k.user = stack_id(ctx, BPF_F_USER_STACK);
	k.kernel = stack_id(ctx, 0);
	add(&k, period_ns);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	u64 process = (u64)child->signal;
	u32 one = 1;

	if (want_children && child->pid == child->tgid && is_target(parent) &&
	    bpf_map_update_elem(&targets, &process, &one, BPF_ANY))
		__sync_fetch_and_add(&lost, 1);
	return 0;
}

/* The process has been waited for. */
SEC("tp_btf/sched_process_free")
int BPF_PROG(on_free, struct task_struct *p)
{
	u64 process = (u64)p->signal;

	if (p->pid == p->tgid)
		bpf_map_delete_elem(&targets, &process);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *p, int old_pid,
	     struct linux_binprm *bprm)
{
	u64 process = (u64)p->signal;
	u32 *on = bpf_map_lookup_elem(&targets, &process);

	if (on)
		*on = 1;
	return 0;
}

/* The tool runs this once for each process to add; it also finds the threads of that
 * process that sleep. */
SEC("iter/task")
int find_sleepers(struct bpf_iter__task *ctx)
{
	struct task_struct *t = ctx->task;
	struct profile_off o = {};
	u32 pid, armed = attach_armed;
	u64 process;

	if (!t || !has_tgid(t, attach_tgid) || t->flags & PF_KTHREAD)
		return 0;
	process = (u64)t->signal;
	bpf_map_update_elem(&targets, &process, &armed, BPF_ANY);
	if (is_on_cpu(t) || !armed)
		return 0;
	pid = t->pid;
	o.since_ns = bpf_ktime_get_ns();
	name_it(&o.key, t, PROFILE_OFF_CPU);
	o.key.user = PROFILE_NOT_SEEN;
	o.tid = pid_of(t);
	bpf_map_update_elem(&off, &pid, &o, BPF_NOEXIST);
	return 0;
}
