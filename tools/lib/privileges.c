// SPDX-License-Identifier: MIT
/* Privileges, by what the kernel shows; see privileges.h. */
#include "privileges.h"
#include "proc.h"
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

/* Numbers of the kernel's ABI; older headers lack the last two. */
#define SYS_ADMIN 21
#define PERFMON	  38
#define BPF	  39

#define STATUS "/proc/self/status"

bool may_use_bpf(void)
{
	unsigned long caps = proc_field_number(STATUS, "CapEff:", 16, 0);

	return caps >> SYS_ADMIN & 1 || (caps >> BPF & caps >> PERFMON & 1);
}

bool seccomp_is_filtering(void)
{
	return proc_field_number(STATUS, "Seccomp:", 10, 0) == 2;
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
