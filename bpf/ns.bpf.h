/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * PIDs as the tool knows them. In a container it may live in a PID namespace of its
 * own, where the numbers in task_struct mean nothing: it prints and takes the numbers
 * there. And what else of a task is not the same for all kernels. Included once by each
 * program.
 */
#ifndef URT_NS_BPF_H
#define URT_NS_BPF_H

/* The tool's PID namespace, by inode; 0: the first one. Set before loading. */
const volatile unsigned int ns_inum = 0;

#define NS_DEPTH 32 /* MAX_PID_NS_LEVEL (include/linux/pid_namespace.h) */

/* An int until Linux 7.1, one byte since 7.2: read in the size that it has. */
static __always_inline bool is_on_cpu(struct task_struct *t)
{
	return BPF_CORE_READ_BITFIELD(t, on_cpu);
}

/* The number of p there; `outside` if it has none. */
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

#endif
