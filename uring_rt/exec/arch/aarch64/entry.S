/* SPDX-License-Identifier: MIT */
/*
 * The first frame of every coroutine.
 *
 *	sp ->	| arg |
 *	        | fn  |
 *	        +-----+ top of the stack, 16-byte aligned
 */
	.text
	.globl	urt__ctx_entry
	.hidden	urt__ctx_entry
	.type	urt__ctx_entry, %function
	.p2align 4
urt__ctx_entry:
	.cfi_startproc
	.cfi_undefined x30
	hint	38			/* bti jc */
	ldp	x0, x9, [sp]
	mov	x29, xzr
	mov	x30, xzr
	blr	x9
	brk	#1
	.cfi_endproc
	.size	urt__ctx_entry, . - urt__ctx_entry

	.section .note.GNU-stack, "", %progbits
