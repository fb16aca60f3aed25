/* SPDX-License-Identifier: MIT */
/*
 * aarch64: a signal's context, for watch/preempt.c.
 *
 * No instruction can jump to any address and restore every register at once; so
 * the kernel does both. The whole frame that it made for the signal is copied
 * to the coroutine's stack (the ABI has no red zone), where urt__preempt_entry
 * gives it to rt_sigreturn(2) when the coroutine continues:
 *
 *	sp of the interrupted code ->	| its frames           |
 *					| what SVE needs beyond | extra_context's data
 *					| ucontext_t           |
 *	sp in urt__preempt_entry ->	| siginfo_t            |
 */
#ifndef URT_EXEC_ARCH_PREEMPT_H
#define URT_EXEC_ARCH_PREEMPT_H

#include <asm/sigcontext.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <ucontext.h>

/* The kernel's rt_sigframe. */
struct urt__sigframe {
	char info[128];
	ucontext_t uc;
};

_Static_assert(offsetof(ucontext_t, uc_mcontext) == 176, "the kernel's layout");

#define URT__PSTATE_BTYPE (UINT64_C(3) << 10) /* of an indirect branch */
#define URT__SVC	  0xd4000001u	      /* svc #0 */

static inline bool urt__preempt_init(void)
{
	return true;
}

static inline uintptr_t urt__context_pc(const ucontext_t *u)
{
	return u->uc_mcontext.pc;
}

static inline uintptr_t urt__context_sp(const ucontext_t *u)
{
	return u->uc_mcontext.sp;
}

/* A leaf function has its return address here only. */
static inline uintptr_t urt__context_link(const ucontext_t *u)
{
	return u->uc_mcontext.regs[30];
}

/* That record of the frame, or NULL. */
static inline struct _aarch64_ctx *urt__context_record(const ucontext_t *u,
						       uint32_t magic)
{
	char *p = (char *)u->uc_mcontext.__reserved;
	struct _aarch64_ctx *head = (struct _aarch64_ctx *)p;

	for (; head->magic && head->size; head = (struct _aarch64_ctx *)p) {
		if (head->magic == magic)
			return head;
		p += head->size;
	}
	return NULL;
}

static inline size_t urt__sigframe_size(const ucontext_t *u)
{
	const struct extra_context *extra =
		(void *)urt__context_record(u, EXTRA_MAGIC);
	uintptr_t begin = (uintptr_t)u - offsetof(struct urt__sigframe, uc);
	size_t size = sizeof(struct urt__sigframe);

	if (extra && extra->datap + extra->size - begin > size)
		size = extra->datap + extra->size - begin;
	return (size + 15) & ~(size_t)15;
}

/* Bytes of stack that the registers take. */
static inline size_t urt__preempt_room(const ucontext_t *u)
{
	return urt__sigframe_size(u) + 16;
}

/* As if the interrupted code had called it. */
__attribute__((no_sanitize_address)) static inline void
urt__preempt_call(ucontext_t *u, uintptr_t entry)
{
	size_t size = urt__sigframe_size(u);
	uintptr_t from = (uintptr_t)u - offsetof(struct urt__sigframe, uc);
	uintptr_t to = (u->uc_mcontext.sp - size) & ~(uintptr_t)15;
	struct urt__sigframe *copy = (struct urt__sigframe *)to;
	struct extra_context *extra;

	for (size_t i = 0; i < size; i += 8)
		*(volatile uint64_t *)(to + i) = *(uint64_t *)(from + i);
	extra = (void *)urt__context_record(&copy->uc, EXTRA_MAGIC);
	if (extra)
		extra->datap += to - from;
	u->uc_mcontext.sp = to;
	u->uc_mcontext.pc = entry;
	u->uc_mcontext.pstate &= ~URT__PSTATE_BTYPE;
}

/* The next instruction makes restart_syscall(2). */
static inline bool urt__context_restarts(const ucontext_t *u)
{
	return u->uc_mcontext.regs[8] == SYS_restart_syscall &&
	       *(const uint32_t *)u->uc_mcontext.pc == URT__SVC;
}

/* As if it had been made. */
static inline void urt__context_return(ucontext_t *u, long result)
{
	u->uc_mcontext.regs[0] = result;
	u->uc_mcontext.pc += 4;
}

#endif
