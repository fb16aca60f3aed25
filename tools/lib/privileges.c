// SPDX-License-Identifier: MIT
/* Privileges, as the kernel shows them; see privileges.h. */
#include "privileges.h"
#include "proc.h"
#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Numbers of the kernel's ABI; older headers lack the last two. */
#define SYS_PTRACE 19
#define SYS_ADMIN  21
#define PERFMON	   38
#define BPF	   39

/* The effective set, by a system call, since /proc may be missing. */
static uint64_t capabilities(void)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3,
						 0 };
	struct __user_cap_data_struct have[2] = { 0 };

	if (syscall(SYS_capget, &head, have))
		return 0;
	return have[0].effective | (uint64_t)have[1].effective << 32;
}

bool may_use_bpf(void)
{
	uint64_t caps = capabilities();

	return caps >> SYS_ADMIN & 1 || (caps >> BPF & caps >> PERFMON & 1);
}

bool may_trace_others(void)
{
	return capabilities() >> SYS_PTRACE & 1;
}

bool seccomp_is_filtering(void)
{
	return proc_field_number("/proc/self/status", "Seccomp:", 10, 0) == 2;
}

bool in_user_namespace(void)
{
	const char *map = "/proc/self/uid_map";
	unsigned inside, outside, n;
	char line[64];

	if (access(map, R_OK))
		return false;		    /* a kernel without them */
	proc_line(map, line, sizeof(line)); /* "": no user is mapped yet */
	return sscanf(line, "%u %u %u", &inside, &outside, &n) != 3 || inside ||
	       outside || n != UINT32_MAX;
}

bool kernel_is_locked_down(void)
{
	return proc_has("/sys/kernel/security/lockdown", "[confidentiality]");
}

bool bpf_is_refused(int err)
{
	return err == -EPERM || err == -EACCES ||
	       (err == -ENOSYS && seccomp_is_filtering());
}

const char *bpf_refusal(void)
{
	if (in_user_namespace())
		return "in a user namespace no capability allows BPF: run "
		       "outside it (docker run --userns=host; podman: as root)";
	if (!may_use_bpf())
		return "no privilege for BPF: run as root (sudo), or with "
		       "CAP_BPF and CAP_PERFMON (docker run --cap-add BPF "
		       "--cap-add PERFMON)";
	if (seccomp_is_filtering())
		return "a seccomp filter forbids bpf(2), as in a container: "
		       "docker run --security-opt seccomp=unconfined";
	if (kernel_is_locked_down())
		return "the kernel is locked down: boot with "
		       "lockdown=integrity, or without Secure Boot";
	return "the kernel refuses BPF to this process; a security module "
	       "may forbid it (dmesg says which)";
}
