// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The registers that each thread of a process saved when it last entered the kernel,
 * read without stopping the threads. A thread that sleeps has no other registers. A
 * thread that runs last entered at its last tick or call: pointers that its registers
 * hold now came from the saved ones or from memory.
 */
#ifdef URT_NO_BTF
#include "vmlinux_min.h"
#else
#include "vmlinux.h"
#endif
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "registers.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define PF_IO_WORKER 0x00000010
#define PF_KTHREAD   0x00200000

#include "ns.bpf.h"

int registers_of = 0; /* process; set by the tool */

SEC("iter/task")
int read_registers(struct bpf_iter__task *ctx)
{
	struct task_struct *t = ctx->task;
	struct registers r;

	if (!t || !has_tgid(t, registers_of) ||
	    t->flags & (PF_IO_WORKER | PF_KTHREAD))
		return 0;
	if (bpf_probe_read_kernel(&r, sizeof(r), (void *)bpf_task_pt_regs(t)))
		return 0;
	bpf_seq_write(ctx->meta->seq, &r, sizeof(r));
	return 0;
}
