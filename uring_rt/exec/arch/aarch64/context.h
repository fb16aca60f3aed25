/* SPDX-License-Identifier: MIT */
/*
 * aarch64. Offsets are those of struct urt__ctx. x29 is the frame pointer and
 * is saved by hand; x18 is an ordinary register on Linux. `hint 36`
 * is `bti j`: the landing pad of an indirect jump where branch targets are
 * checked, and nothing elsewhere.
 */
#ifndef URT_EXEC_ARCH_CONTEXT_H
#define URT_EXEC_ARCH_CONTEXT_H

/* Saves this context in *from and continues in *to. Returns, when another swap comes
 * back here, that one's `to`: the context that was saved, from a register, so that
 * the caller need not keep its address in memory across the switch. */
static inline __attribute__((always_inline)) struct urt__ctx *
urt__ctx_swap(struct urt__ctx *from, struct urt__ctx *to)
{
	register struct urt__ctx *x0 __asm__("x0") = from;
	register struct urt__ctx *x1 __asm__("x1") = to;

	__asm__ volatile(
		"adr	x9, 1f\n\t"
		"mov	x10, sp\n\t"
		"stp	x10, x29, [x0]\n\t"
		"str	x9, [x0, 16]\n\t"
		"ldp	x10, x29, [x1]\n\t"
		"ldr	x9, [x1, 16]\n\t"
		"mov	sp, x10\n\t"
		"br	x9\n"
		"1:\n\t"
		"hint	36"
		: "+r"(x0), "+r"(x1)
		:
		: "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11",
		  "x12", "x13", "x14", "x15", "x16", "x17", "x18", "x19", "x20",
		  "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x30",
		  "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9",
		  "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18",
		  "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27",
		  "v28", "v29", "v30", "v31", "cc", "memory");
	return x1;
}

#endif
