/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Part of count.bpf.c, included once there: how long system calls take, and how
 * they fail. The thread's state keeps the time at which a call began. Calls of the
 * 32-bit table count as URT_SYSCALL_OTHER.
 */
#ifndef URT_LATENCY_BPF_H
#define URT_LATENCY_BPF_H

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, URT_SYSCALL_SLOTS);
	__type(key, u32);
	__type(value, struct urt_latency);
} latency SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, URT_ERRNOS);
	__type(key, struct urt_errno);
	__type(value, u64);
} errnos SEC(".maps");

const volatile bool want_latency = false;

static __always_inline void call_begins(struct task_struct *t,
					struct urt_task *st, u64 nr)
{
	st->enter_nr =
		nr < URT_SYSCALLS && !is_32_bit(t) ? nr : URT_SYSCALL_OTHER;
	st->enter_ns = bpf_ktime_get_ns();
}

static __always_inline void count_error(u32 nr, long ret)
{
	struct urt_errno key = { .nr = nr, .error = -ret };
	u64 *n = bpf_map_lookup_elem(&errnos, &key), one = 1;

	if (n)
		*n += 1;
	else if (bpf_map_update_elem(&errnos, &key, &one, BPF_NOEXIST))
		__sync_fetch_and_add(&lost, 1);
}

/* Results from -4095 to -1 are errors, on every machine. */
static __always_inline int returns(long ret)
{
	struct urt_task *st = task_find(bpf_get_current_task_btf());
	struct urt_latency *l;
	u64 ns;
	u32 nr, log;

	if (!st || !st->enter_ns)
		return 0;
	ns = bpf_ktime_get_ns() - st->enter_ns;
	nr = st->enter_nr;
	st->enter_ns = 0;
	l = bpf_map_lookup_elem(&latency, &nr);
	if (!l)
		return 0;
	l->calls++;
	l->ns += ns;
	if (ns > l->max_ns)
		l->max_ns = ns;
	log = log_of(ns);
	if (log < URT_TIME_LOGS)
		l->log[log]++;
	if (ret < 0 && ret >= -4095) {
		l->errors++;
		count_error(nr, ret);
	}
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_syscall_exit, struct pt_regs *regs, long ret)
{
	return returns(ret);
}

SEC("tp/raw_syscalls/sys_exit")
int on_syscall_exit_event(struct trace_event_raw_sys_exit *e)
{
	return returns(e->ret);
}

#endif
