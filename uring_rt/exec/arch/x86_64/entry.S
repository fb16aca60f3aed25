/* SPDX-License-Identifier: MIT */
/*
 * The first frame of every coroutine.
 *
 *	rsp ->	| arg |
 *	        | fn  |
 *	        +-----+ top of the stack, 16-byte aligned
 */
	.text
	.globl	urt__ctx_entry
	.hidden	urt__ctx_entry
	.type	urt__ctx_entry, @function
	.p2align 4
urt__ctx_entry:
	.cfi_startproc
	.cfi_undefined rip
	movq	0(%rsp), %rdi
	xorl	%ebp, %ebp
	call	*8(%rsp)
	ud2
	.cfi_endproc
	.size	urt__ctx_entry, . - urt__ctx_entry

	.section .note.GNU-stack, "", @progbits
