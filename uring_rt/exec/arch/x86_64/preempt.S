/* SPDX-License-Identifier: MIT */
/*
 * Where a preempted coroutine calls the scheduler from.
 *
 * The signal handler (watch/preempt.c) makes the interrupted code appear to
 * have called this, below the red zone of the function that it interrupted.
 * Every register is saved (the vector state by XSAVE), since the interrupted
 * code did not expect a call, and restored when the coroutine continues.
 *
 *	CFA ->	| red zone, 128 bytes |	rsp of the interrupted code
 *	 -136	| interrupted rip     |	<- rsp at entry
 *	 -144	| rflags              |
 *	 -264	| rax ... r15         |	<- rbp below
 *		| XSAVE area, aligned |	<- rsp at the call
 */
	.text
	.globl	urt__preempt_entry
	.hidden	urt__preempt_entry
	.type	urt__preempt_entry, @function
	.p2align 4
urt__preempt_entry:
	.cfi_startproc
	.cfi_signal_frame
	.cfi_def_cfa rsp, 136
	.cfi_offset rip, -136
	pushfq
	pushq	%rax
	pushq	%rcx
	pushq	%rdx
	pushq	%rbx
	pushq	%rbp
	pushq	%rsi
	pushq	%rdi
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, %rbp
	.cfi_def_cfa rbp, 264
	.cfi_offset rbx, -176
	.cfi_offset rbp, -184
	.cfi_offset r12, -240
	.cfi_offset r13, -248
	.cfi_offset r14, -256
	.cfi_offset r15, -264
	cld
	movl	urt__xsave_size(%rip), %eax
	subq	%rax, %rsp
	andq	$-64, %rsp
	xorl	%eax, %eax
	movq	%rax, 512(%rsp)		/* XSAVE's header: must be zero */
	movq	%rax, 520(%rsp)
	movq	%rax, 528(%rsp)
	movq	%rax, 536(%rsp)
	movq	%rax, 544(%rsp)
	movq	%rax, 552(%rsp)
	movq	%rax, 560(%rsp)
	movq	%rax, 568(%rsp)
	movl	$-1, %eax
	movl	$-1, %edx
	xsave64	(%rsp)
	fninit				/* the others expect what the ABI does */
	ldmxcsr	default_mxcsr(%rip)
	call	urt__preempted
	movl	$-1, %eax
	movl	$-1, %edx
	xrstor64 (%rsp)
	movq	%rbp, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rdi
	popq	%rsi
	popq	%rbp
	popq	%rbx
	popq	%rdx
	popq	%rcx
	popq	%rax
	popfq
	.cfi_def_cfa rsp, 136
	.cfi_same_value rbx
	.cfi_same_value rbp
	.cfi_same_value r12
	.cfi_same_value r13
	.cfi_same_value r14
	.cfi_same_value r15
	ret	$128
	.cfi_endproc
	.size	urt__preempt_entry, . - urt__preempt_entry
	.globl	urt__preempt_end
	.hidden	urt__preempt_end
urt__preempt_end:

	.section .rodata
	.p2align 2
default_mxcsr:
	.long	0x1f80

	.section .note.GNU-stack, "", @progbits
