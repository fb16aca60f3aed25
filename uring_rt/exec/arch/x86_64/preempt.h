/* SPDX-License-Identifier: MIT */
/* x86-64: a signal's context, for watch/preempt.c; see preempt.S. */
#ifndef URT_EXEC_ARCH_PREEMPT_H
#define URT_EXEC_ARCH_PREEMPT_H

#include <cpuid.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <ucontext.h>

/* Bytes that XSAVE writes. */
extern uint32_t urt__xsave_size __attribute__((visibility("hidden")));

/* False: this processor cannot save all its registers. */
static inline bool urt__preempt_init(void)
{
	unsigned a, b, c, d;

	__cpuid(1, a, b, c, d);
	if (!(c & bit_OSXSAVE) || !__get_cpuid_count(13, 0, &a, &b, &c, &d))
		return false;
	urt__xsave_size = b;
	return true;
}

static inline uintptr_t urt__context_pc(const ucontext_t *u)
{
	return u->uc_mcontext.gregs[REG_RIP];
}

static inline uintptr_t urt__context_sp(const ucontext_t *u)
{
	return u->uc_mcontext.gregs[REG_RSP];
}

/* A return address that is not on the stack: none. */
static inline uintptr_t urt__context_link(const ucontext_t *u)
{
	(void)u;
	return 0;
}

/* Bytes of stack that the registers take. */
static inline size_t urt__preempt_room(const ucontext_t *u)
{
	(void)u;
	return urt__xsave_size;
}

/* As if the interrupted code had called it, below its red zone. */
__attribute__((no_sanitize_address)) static inline void
urt__preempt_call(ucontext_t *u, uintptr_t entry)
{
	greg_t *r = u->uc_mcontext.gregs;
	uintptr_t *sp = (uintptr_t *)(r[REG_RSP] - 128) - 1;

	*sp = r[REG_RIP];
	r[REG_RSP] = (greg_t)(uintptr_t)sp;
	r[REG_RIP] = (greg_t)entry;
}

/* The next instruction makes restart_syscall(2). */
static inline bool urt__context_restarts(const ucontext_t *u)
{
	const greg_t *r = u->uc_mcontext.gregs;
	const uint8_t *pc = (const uint8_t *)(uintptr_t)r[REG_RIP];

	return r[REG_RAX] == SYS_restart_syscall && pc[0] == 0x0f &&
	       pc[1] == 0x05;
}

/* As if it had been made. */
static inline void urt__context_return(ucontext_t *u, long result)
{
	u->uc_mcontext.gregs[REG_RAX] = result;
	u->uc_mcontext.gregs[REG_RIP] += 2;
}

#endif
