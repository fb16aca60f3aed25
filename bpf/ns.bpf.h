/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * PIDs as the tool knows them. In a container the tool may live in a PID namespace of
 * its own, where the numbers in task_struct mean nothing. It prints and accepts the
 * numbers of its namespace, which this file finds. It also reads a field of task_struct
 * that differs between kernels. Each program includes this once.
 */
#ifndef URT_NS_BPF_H
#define URT_NS_BPF_H

/* The inode of the tool's PID namespace; 0: the initial one. Set before loading. */
const volatile unsigned int ns_inum = 0;

#define NS_DEPTH 32 /* MAX_PID_NS_LEVEL (include/linux/pid_namespace.h) */

/* on_cpu is an int up to Linux 7.1 and one byte since 7.2: it is read in its size. */
static __always_inline bool is_on_cpu(struct task_struct *t)
{
	return BPF_CORE_READ_BITFIELD(t, on_cpu);
}

/* The number of p in the tool's namespace; `outside` if p has none there. */
static __always_inline u32 ns_number(struct pid *p, u32 outside)
{
	u32 level = BPF_CORE_READ(p, level);
	char *at = (char *)p + __builtin_preserve_field_info(
				       p->numbers, BPF_FIELD_BYTE_OFFSET);

	for (u32 i = 0; i < NS_DEPTH && i <= level; i++) {
		struct upid u = {};

		bpf_probe_read_kernel(&u, sizeof(u), at + i * sizeof(u));
		if (u.ns && BPF_CORE_READ(u.ns, ns.inum) == ns_inum)
			return u.nr;
	}
	return outside;
}

/* For output: a process outside the tool's namespace is printed by its number in the
 * initial one, which can be that of another process in the tool's. */
static __always_inline u32 pid_of(struct task_struct *t)
{
	return ns_inum ? ns_number(BPF_CORE_READ(t, thread_pid), t->pid)
		       : (u32)t->pid;
}

static __always_inline u32 tgid_of(struct task_struct *t)
{
	return ns_inum ? ns_number(BPF_CORE_READ(t, signal, pids[1]), t->tgid)
		       : (u32)t->tgid;
}

/* Whether t is this thread, or of this process, of the tool's namespace. */
static __always_inline bool has_pid(struct task_struct *t, u32 pid)
{
	return (ns_inum ? ns_number(BPF_CORE_READ(t, thread_pid), -1)
			: (u32)t->pid) == pid;
}

static __always_inline bool has_tgid(struct task_struct *t, u32 tgid)
{
	return (ns_inum ? ns_number(BPF_CORE_READ(t, signal, pids[1]), -1)
			: (u32)t->tgid) == tgid;
}

#endif
