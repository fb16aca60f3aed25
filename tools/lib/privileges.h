/* SPDX-License-Identifier: MIT */
/*
 * The privileges and the environment of this process, from /proc/self; and
 * giving up privileges (give_up.c). A command first loads and attaches all that
 * needs privileges. Then, before it reads anything that a measured program
 * wrote, it keeps only the privileges that reading needs. A parser of other
 * programs' files keeps none. `urt demo`, `urt bench`, `urt compare` and `urt
 * stat -r` attach anew for each of their experiments, so they keep their
 * privileges until the last one; demo and bench measure only programs that they
 * start themselves.
 */
#ifndef URT_PRIVILEGES_H
#define URT_PRIVILEGES_H

#include <stdbool.h>

/* CAP_SYS_ADMIN, or CAP_BPF and CAP_PERFMON, in the effective set. */
bool may_use_bpf(void);

/* CAP_SYS_PTRACE: may look into processes of other users. */
bool may_trace_others(void);

/* Whether this -errno means that bpf(2) was refused: a filter may also answer
 * that there is no such call. And the reason in one line, with the remedy. */
bool bpf_is_refused(int err);
const char *bpf_refusal(void);

/* A seccomp filter is in force, as in most containers. */
bool seccomp_is_filtering(void);

/* In a user namespace of its own, where no capability allows BPF. */
bool in_user_namespace(void);

/* Secure Boot's strictest mode: nobody may read the kernel's memory. */
bool kernel_is_locked_down(void);

/*
 * Keeps the right to look into other users' processes in /proc and to send them
 * signals; no exec can regain anything. For this thread and those that it
 * creates.
 */
void privileges_reduce(void);

/* Keeps nothing: only open descriptors can be read and written. */
void privileges_none(void);

#endif
