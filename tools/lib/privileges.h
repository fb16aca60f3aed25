/* SPDX-License-Identifier: MIT */
/* What this process may do, and what surrounds it, as /proc/self tells. */
#ifndef URT_PRIVILEGES_H
#define URT_PRIVILEGES_H

#include <stdbool.h>

/* CAP_SYS_ADMIN, or CAP_BPF and CAP_PERFMON, in the effective set. */
bool may_use_bpf(void);

/* A seccomp filter is in force, as in most containers. */
bool seccomp_is_filtering(void);

/* In a user namespace of its own, where no capability allows BPF. */
bool in_user_namespace(void);

/* Secure Boot's strictest mode: nobody may read the kernel's memory. */
bool kernel_is_locked_down(void);

#endif
