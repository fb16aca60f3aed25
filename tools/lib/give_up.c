// SPDX-License-Identifier: MIT
/*
 * Giving up privileges; see privileges.h. Three layers: capabilities, which
 * give root its power; no_new_privs, so that no set-user-ID file brings them
 * back; and a seccomp filter, so that injected code could not use the rest
 * (with CAP_SYS_PTRACE alone, it could take over any process). If the kernel
 * refuses one of the layers, the others still hold.
 */
#define _GNU_SOURCE
#include "privileges.h"
#include "tool.h"
#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <assert.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#else
#define ARCH AUDIT_ARCH_AARCH64
#endif

/* ---- capabilities ---- */

#define BIT(n) (UINT64_C(1) << (n))

/* For the links in /proc/PID/map_files. Headers before Linux 5.9 lack it. */
#define CHECKPOINT_RESTORE 40

static void keep_capabilities(uint64_t keep)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3,
						 0 };
	struct __user_cap_data_struct have[2], next[2] = { 0 };

	for (int c = 0; c <= CAP_LAST_CAP; c++)
		if (!(keep & BIT(c)))
			prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capget, &head, have))
		return;
	for (int i = 0; i < 2; i++) {
		next[i].permitted = have[i].permitted & keep >> 32 * i;
		next[i].effective = next[i].permitted;
	}
	syscall(SYS_capset, &head, next);
}

/* ---- system calls ---- */

/* System calls that neither reading nor printing needs, and that harm most. */
static const int never[] = {
#ifndef __SANITIZE_ADDRESS__ /* its search for leaks traces the process
				itself */
	SYS_ptrace,
#endif
	SYS_execve,
	SYS_execveat,
	SYS_process_vm_writev,
	SYS_mount,
	SYS_umount2,
	SYS_move_mount,
	SYS_open_tree,
	SYS_fsopen,
	SYS_fsmount,
	SYS_pivot_root,
	SYS_chroot,
	SYS_setns,
	SYS_unshare,
	SYS_init_module,
	SYS_finit_module,
	SYS_delete_module,
	SYS_kexec_load,
	SYS_reboot,
	SYS_swapon,
	SYS_swapoff,
	SYS_acct,
	SYS_settimeofday,
	SYS_clock_settime,
	SYS_adjtimex,
	SYS_keyctl,
	SYS_add_key,
	SYS_request_key,
	SYS_perf_event_open,
	SYS_userfaultfd,
	SYS_pidfd_getfd,
	SYS_mknodat,
	SYS_setuid,
	SYS_setresuid,
	SYS_setgid,
	SYS_setresgid,
	SYS_setgroups,
	SYS_io_uring_setup,
	SYS_open_by_handle_at,
	SYS_quotactl,
	SYS_personality,
	SYS_bind,
	SYS_connect,
};

/* The calls that a reader of an open descriptor needs. */
static const int only[] = {
	SYS_read,   SYS_pread64,    SYS_write,	    SYS_lseek,
	SYS_fstat,  SYS_newfstatat, SYS_mmap,	    SYS_munmap,
	SYS_mremap, SYS_mprotect,   SYS_brk,	    SYS_madvise,
	SYS_close,  SYS_exit,	    SYS_exit_group, SYS_rt_sigreturn,
	SYS_futex,  SYS_getrandom,  SYS_fcntl,
};

#define FILTER_MAX 80

/* Calls in the list get `listed`, all others `otherwise`. */
static void filter(const int *list, size_t n, uint32_t listed,
		   uint32_t otherwise)
{
	struct sock_filter f[FILTER_MAX] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
	};
	struct sock_fprog p = { 4, f };

#if defined(__x86_64__) /* the same calls by the numbers of x32 */
	f[p.len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K,
						  0x40000000, 0, 1);
	f[p.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
						  SECCOMP_RET_ERRNO | EPERM);
#endif
	for (size_t i = 0; i < n; i++)
		f[p.len++] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, (unsigned)list[i],
			(uint8_t)(n - i), 0);
	f[p.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, otherwise);
	f[p.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, listed);
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p, 0, 0);
}

static_assert(6 + ARRAY_LEN(never) + 2 <= FILTER_MAX, "it fits");
static_assert(6 + ARRAY_LEN(only) + 2 <= FILTER_MAX, "it fits");

void privileges_reduce(void)
{
	keep_capabilities(BIT(CAP_SYS_PTRACE) | BIT(CAP_DAC_READ_SEARCH) |
			  BIT(CAP_KILL) | BIT(CHECKPOINT_RESTORE));
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	filter(never, ARRAY_LEN(never), SECCOMP_RET_ERRNO | EPERM,
	       SECCOMP_RET_ALLOW);
}

void privileges_none(void)
{
	keep_capabilities(0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	/* A sanitizer's own calls are not known. */
	filter(only, ARRAY_LEN(only), SECCOMP_RET_ALLOW,
	       SECCOMP_RET_ERRNO | EPERM);
#endif
}
