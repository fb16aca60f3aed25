// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Reports to a program on uring_rt that a worker's thread went to sleep with its
 * processor, and not in the runtime's own wait: in libc, in a page fault, or in a file
 * system below io_uring_enter. Another thread then takes over (sched/handoff.c).
 *
 * Each program has an instance of its own. The kernel calls it at each switch of the
 * whole machine, so it must dismiss other programs' switches after one comparison. For
 * a thread of its program it reads the worker's address from the thread's own memory,
 * then the worker's word (base/stats.h). The program may write anything there, so these
 * values only fill in the event, which no other program reads.
 *
 * The event goes into a ring buffer. Nothing can be woken under the run queue's lock,
 * so an interrupt that follows the switch wakes a sleeping reader.
 */
#ifdef URT_NO_BTF
#include "vmlinux_min.h"
#else
#include "vmlinux.h"
#endif
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "assist_bpf.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define TASK_INTERRUPTIBLE   1
#define TASK_UNINTERRUPTIBLE 2

/* enum urt__where and URT__ATT_REVOKE, base/stats.h */
#define WHERE_IN     1
#define WHERE_ASLEEP 3
#define ATT_REVOKE   1

struct word {
	u32 where, attention, index, ring;
};

/* The program's PID, and the PID namespace in which it has that number. Set before
 * loading. */
const volatile unsigned int target = 0;
const volatile unsigned long long ns_dev = 0, ns_ino = 0;
/* The offset from the thread pointer to the variable with the worker's address. */
const volatile long long word_tls = 0;

/* The program's number in the first namespace, once it has been seen; 0 until then. */
unsigned int known = 0;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, URT_TOLD_RING);
} told SEC(".maps");

#if defined(__TARGET_ARCH_x86)
static __always_inline u64 thread_pointer(struct task_struct *t)
{
	return t->thread.fsbase;
}
#elif defined(__TARGET_ARCH_arm64)
static __always_inline u64 thread_pointer(struct task_struct *t)
{
	return t->thread.uw.tp_value;
}
#endif

/* Whether the worker only waits for completions in its ring, as it should. It does
 * not while the kernel still has to take requests from the queue. */
static __always_inline bool only_waits(u64 at, const struct word *w)
{
	u64 queue[2] = {};
	u32 head = 0, tail = 0;

	if (w->where != WHERE_ASLEEP)
		return false;
	return bpf_probe_read_user(queue, sizeof(queue),
				   (void *)(at + w->ring)) ||
	       bpf_probe_read_user(&head, 4, (void *)queue[0]) ||
	       bpf_probe_read_user(&tail, 4, (void *)queue[1]) || head == tail;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(assist_switch, bool preempt, struct task_struct *prev,
	     struct task_struct *next, unsigned int state)
{
	struct bpf_pidns_info id = {};
	struct word w = {};
	struct urt_told e = {};
	u64 at = 0;

	if (known && prev->tgid != known)
		return 0;
	if (preempt || !(state & (TASK_INTERRUPTIBLE | TASK_UNINTERRUPTIBLE)))
		return 0;
	if (bpf_get_ns_current_pid_tgid(ns_dev, ns_ino, &id, sizeof(id)) ||
	    id.tgid != target)
		return 0;
	known = prev->tgid;
	if (bpf_probe_read_user(&at, 8,
				(void *)(thread_pointer(prev) + word_tls)) ||
	    !at || bpf_probe_read_user(&w, sizeof(w), (void *)at))
		return 0;
	if (w.where == WHERE_IN || w.attention & ATT_REVOKE ||
	    only_waits(at, &w))
		return 0;
	e.ns = bpf_ktime_get_ns();
	e.ran_ns = prev->se.sum_exec_runtime;
	e.index = w.index;
	e.tid = id.pid;
	bpf_ringbuf_output(&told, &e, sizeof(e), 0);
	return 0;
}
