/* SPDX-License-Identifier: MIT */
/*
 * Where a preempted coroutine calls the scheduler from; see preempt.h. The stack
 * pointer is at the copy of the signal's frame, from which the kernel restores
 * every register.
 *
 * Unwind information is left out on purpose: unwinders recognise the two
 * instructions after the call as the end of a signal handler, whose frame lies
 * at the stack pointer.
 */
	.text
	.globl	urt__preempt_entry
	.hidden	urt__preempt_entry
	.type	urt__preempt_entry, %function
	.p2align 4
urt__preempt_entry:
	msr	fpcr, xzr		/* the others expect what the ABI does */
	bl	urt__preempted
	mov	x8, #139		/* rt_sigreturn */
	svc	#0
	.size	urt__preempt_entry, . - urt__preempt_entry
	.globl	urt__preempt_end
	.hidden	urt__preempt_end
urt__preempt_end:

	.section .note.GNU-stack, "", %progbits
