// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Counting for a fleet: the switches, system calls and io_uring requests of each
 * cgroup, all the time.
 *
 * The key is the id of a thread's cgroup in the v2 hierarchy. An entry is made
 * when a cgroup is first seen; the tool deletes the entries of removed cgroups.
 * Without room for an entry, the counts go to EXPORT_OTHER, which always exists.
 * So nothing is lost, and memory is bounded.
 *
 * Counts are per CPU, and these tracepoints run with preemption off: plain
 * additions are exact. The idle task belongs to no program and is left out.
 *
 * A time needs two points: when a thread left its CPU or became runnable, which its
 * task storage keeps, and when it runs again. If times are not wanted, the kernel
 * drops their code when the programs are loaded, and the programs on wake-ups are
 * not loaded.
 */
#ifdef URT_NO_BTF
#include "vmlinux_min.h"
#else
#include "vmlinux.h"
#endif
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "export.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Set before loading. */
const volatile bool want_times = true;
const volatile bool completion_is_cqe; /* io_uring_complete's form since 6.15 */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, EXPORT_GROUPS_MAX);
	__type(key, u64);
	__type(value, struct export_counts);
} groups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, EXPORT_CALLS_MAX);
	__type(key, struct export_call);
	__type(value, u64);
} calls SEC(".maps");

/* The initial value of an entry, which is too large for the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct export_counts);
} zeroes SEC(".maps");

struct export_task {
	u64 nvcsw;     /* the kernel's counter at its last switch */
	u64 out_ns;    /* left its CPU to wait; 0: not known */
	u64 queued_ns; /* became runnable */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct export_task);
} tasks SEC(".maps");

static __always_inline u64 cgroup_of(struct task_struct *t)
{
	return t->cgroups->dfl_cgrp->kn->id;
}

static __always_inline struct export_counts *counts_of(u64 id)
{
	struct export_counts *c = bpf_map_lookup_elem(&groups, &id), *zero;
	u64 other = EXPORT_OTHER;
	u32 first = 0;

	if (c)
		return c;
	zero = bpf_map_lookup_elem(&zeroes, &first);
	if (zero)
		bpf_map_update_elem(&groups, &id, zero, BPF_NOEXIST);
	c = bpf_map_lookup_elem(&groups, &id);
	return c ? c : bpf_map_lookup_elem(&groups, &other);
}

static __always_inline u32 bucket(u64 ns)
{
	u64 us = ns >> 10; /* powers of two from 1.024 us on */

	for (u32 n = 0; n < EXPORT_BUCKETS - 1; n++, us >>= 1)
		if (!us)
			return n;
	return EXPORT_BUCKETS - 1;
}

/* The kernel has just added to one of the thread's counters, which tells whether the
 * switch is voluntary. At a thread's first switch, its state tells it. */
static __always_inline void leaves(struct task_struct *t, bool preempt, u64 now)
{
	struct export_task *st = bpf_task_storage_get(&tasks, t, 0, 0);
	struct export_counts *c = counts_of(cgroup_of(t));
	bool voluntary = !preempt && t->__state;

	if (st)
		voluntary = t->nvcsw != st->nvcsw;
	else
		st = bpf_task_storage_get(&tasks, t, 0,
					  BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (c && voluntary)
		c->voluntary++;
	else if (c)
		c->involuntary++;
	if (!st)
		return;
	st->nvcsw = t->nvcsw;
	st->out_ns = voluntary ? now : 0;
	st->queued_ns = voluntary ? 0 : now;
}

static __always_inline void runs(struct task_struct *t, u64 now)
{
	struct export_task *st = bpf_task_storage_get(&tasks, t, 0, 0);
	struct export_counts *c;
	u64 ns;

	if (!st || !(st->out_ns | st->queued_ns))
		return;
	c = counts_of(cgroup_of(t));
	if (c && st->out_ns) {
		ns = now - st->out_ns;
		c->off_cpu[bucket(ns)]++;
		c->off_cpu_ns += ns;
	}
	if (c && st->queued_ns) {
		ns = now - st->queued_ns;
		c->queued[bucket(ns)]++;
		c->queued_ns += ns;
	}
	st->out_ns = st->queued_ns = 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(export_switch, bool preempt, struct task_struct *prev,
	     struct task_struct *next)
{
	u64 now = want_times ? bpf_ktime_get_ns() : 0;

	if (prev->pid)
		leaves(prev, preempt, now);
	if (want_times && next->pid)
		runs(next, now);
	return 0;
}

/* A thread gets its storage when it first leaves a CPU; before, it is ignored. */
static __always_inline void woken(struct task_struct *t)
{
	struct export_task *st = bpf_task_storage_get(&tasks, t, 0, 0);

	if (st)
		st->queued_ns = bpf_ktime_get_ns();
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(export_wakeup, struct task_struct *t)
{
	woken(t);
	return 0;
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(export_wakeup_new, struct task_struct *t)
{
	woken(t);
	return 0;
}

#if defined(__TARGET_ARCH_x86)
#define IS_32_BIT(t) ((t)->thread_info.status & 2) /* TS_COMPAT */
#else
#define IS_32_BIT(t) ((t)->thread_info.flags & (1 << 22)) /* TIF_32BIT */
#endif

/* One look-up for a call. Calls that find no room count as unnamed. */
SEC("tp_btf/sys_enter")
int BPF_PROG(export_syscall, struct pt_regs *regs, long nr)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct export_call key = { .cgroup = cgroup_of(t) };
	struct export_counts *c;
	u64 one = 1, *n;

	key.nr = (u32)nr & 0xffff;
	if (IS_32_BIT(t))
		key.nr |= EXPORT_CALL_32;
	n = bpf_map_lookup_elem(&calls, &key);
	if (n) {
		(*n)++;
		return 0;
	}
	if (!bpf_map_update_elem(&calls, &key, &one, BPF_NOEXIST))
		return 0;
	/* Another CPU may have made the entry meanwhile. */
	n = bpf_map_lookup_elem(&calls, &key);
	c = counts_of(key.cgroup);
	if (n)
		(*n)++;
	else if (c)
		c->unnamed++;
	return 0;
}

/* The only field that is read; the suffix lets libbpf match struct io_kiocb. */
struct io_kiocb___export {
	u8 opcode;
} __attribute__((preserve_access_index));

/* What the program asked for: an opcode that the kernel lacks is only here. */
struct io_uring_sqe___export {
	u8 opcode;
} __attribute__((preserve_access_index));

static __always_inline int submitted(u8 op)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct export_counts *c = counts_of(cgroup_of(t));

	if (op >= EXPORT_OPS)
		op = EXPORT_OPS - 1;
	if (c)
		c->submitted[op]++;
	return 0;
}

static __always_inline u8 opcode_of(void *req)
{
	return BPF_CORE_READ((struct io_kiocb___export *)req, opcode);
}

SEC("tp_btf/io_uring_submit_req") /* since 6.4 */
int BPF_PROG(export_submit_req, void *req)
{
	return submitted(opcode_of(req));
}

SEC("tp_btf/io_uring_submit_sqe") /* its name before 6.4 */
int BPF_PROG(export_submit_sqe, void *req)
{
	return submitted(opcode_of(req));
}

/* A request that the kernel refuses is not announced by the other two. */
SEC("tp_btf/io_uring_req_failed")
int BPF_PROG(export_refused, struct io_uring_sqe___export *sqe)
{
	return submitted(BPF_CORE_READ(sqe, opcode));
}

/* The beginning of struct io_uring_cqe; only the result is used. */
struct export_cqe {
	u64 user_data;
	s32 res;
};

static __always_inline int completed(s32 res)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct export_counts *c = counts_of(cgroup_of(t));

	if (c && res < 0)
		c->failed++;
	else if (c)
		c->succeeded++;
	return 0;
}

SEC("tp_btf/io_uring_complete")
int export_complete(u64 *args)
{
	struct export_cqe cqe = { 0 };

	if (completion_is_cqe)
		bpf_probe_read_kernel(&cqe, sizeof(cqe), (void *)args[2]);
	else
		cqe.res = (s32)args[3];
	return completed(cqe.res);
}

/* The completion queue was full. */
SEC("tp_btf/io_uring_cqe_overflow")
int export_overflow(u64 *args)
{
	return completed((s32)args[2]);
}
