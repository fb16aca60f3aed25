/* SPDX-License-Identifier: MIT */
/*
 * x86-64. Offsets are those of struct urt__ctx. Nothing is pushed, so the red
 * zone of the function around it is safe. rbp cannot be declared overwritten
 * where it is the frame pointer, so it is saved by hand.
 */
#ifndef URT_EXEC_ARCH_CONTEXT_H
#define URT_EXEC_ARCH_CONTEXT_H

#ifdef __AVX512F__
#define URT__CTX_AVX512                                                        \
	, "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22",       \
		"xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", \
		"xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#define URT__CTX_AVX512
#endif

/* Saves this context in *from and continues in *to. Returns, when another swap comes
 * back here, that one's `to`: the context that was saved, from a register, so that
 * the caller need not keep its address in memory across the switch. */
static inline __attribute__((always_inline)) struct urt__ctx *
urt__ctx_swap(struct urt__ctx *from, struct urt__ctx *to)
{
	__asm__ volatile("leaq	1f(%%rip), %%rax\n\t"
			 "movq	%%rsp, 0(%%rdi)\n\t"
			 "movq	%%rbp, 8(%%rdi)\n\t"
			 "movq	%%rax, 16(%%rdi)\n\t"
			 "movq	0(%%rsi), %%rsp\n\t"
			 "movq	8(%%rsi), %%rbp\n\t"
			 "jmpq	*16(%%rsi)\n"
			 "1:"
			 : "+D"(from), "+S"(to)
			 :
			 : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11",
			   "r12", "r13", "r14", "r15", "xmm0", "xmm1", "xmm2",
			   "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
			   "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
			   "xmm15" URT__CTX_AVX512, "cc", "memory");
	return to;
}

#endif
