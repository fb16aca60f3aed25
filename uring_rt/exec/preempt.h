/* SPDX-License-Identifier: MIT */
/*
 * The context of code that a signal has interrupted: where it was, and how it is
 * made to appear to have called a function. Each processor's own part is in
 * arch/.../preempt.[hS].
 */
#ifndef URT_EXEC_PREEMPT_H
#define URT_EXEC_PREEMPT_H

#if defined(__x86_64__)
#include "arch/x86_64/preempt.h"
#elif defined(__aarch64__)
#include "arch/aarch64/preempt.h"
#endif

/* In preempt.S: the code that the call runs, and its end. */
extern char urt__preempt_entry[] __attribute__((visibility("hidden")));
extern char urt__preempt_end[] __attribute__((visibility("hidden")));

#endif
