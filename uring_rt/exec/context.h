/* SPDX-License-Identifier: MIT */
/*
 * The register switch.
 *
 * A context that is not running is three words: stack pointer, frame pointer
 * and where to continue. The compiler saves everything else that is live across
 * the switch, in the frame of the function that switches: the switch is inline
 * assembly that declares every register overwritten, so only registers in use
 * there are stored, and no call or return is made. It ends in an indirect jump
 * rather than a `ret`, whose target the return predictor would always get
 * wrong.
 *
 * Not switched: the floating-point control words (rounding mode, masks). They
 * are the thread's; Go and most libraries do the same.
 *
 * A new context begins in urt__ctx_entry (arch/.../entry.S), which calls
 * fn(arg) from the two words at its stack pointer. Its unwind information says
 * that it has no caller, so backtraces end there cleanly.
 */
#ifndef URT_EXEC_CONTEXT_H
#define URT_EXEC_CONTEXT_H

#include "../base/base.h"

struct urt__ctx {
	void *sp;
	void *fp;
	void *pc;
};

#if defined(__x86_64__)
#include "arch/x86_64/context.h"
#elif defined(__aarch64__)
#include "arch/aarch64/context.h"
#else
#error "uring_rt runs on x86-64 and aarch64"
#endif

void urt__ctx_entry(void);

/*
 * Makes a context that will run fn(arg) on the stack that ends below top,
 * which must be 16-byte aligned. fn must never return.
 */
static inline void urt__ctx_init(struct urt__ctx *ctx, void *top,
				 void (*fn)(void *), void *arg)
{
	void **frame = (void **)top - 2;

	frame[0] = arg;
	frame[1] = (void *)(uintptr_t)fn;
	ctx->sp = frame;
	ctx->fp = NULL;
	ctx->pc = (void *)(uintptr_t)urt__ctx_entry;
}

#endif
