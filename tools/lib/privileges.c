// SPDX-License-Identifier: MIT
/* Privileges, by what the kernel shows; see privileges.h. */
#include "privileges.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Numbers of the kernel's ABI; older headers lack the last two. */
#define SYS_ADMIN 21
#define PERFMON	  38
#define BPF	  39

/* The number behind name in /proc/self/status; 0 where there is none. */
static unsigned long long status_field(const char *name, int base)
{
	unsigned long long n = 0;
	char line[256];
	FILE *f = fopen("/proc/self/status", "re");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)))
			n = strtoull(line + strlen(name), NULL, base);
	if (f)
		fclose(f);
	return n;
}

bool may_use_bpf(void)
{
	unsigned long long caps = status_field("CapEff:", 16);

	return caps >> SYS_ADMIN & 1 || (caps >> BPF & caps >> PERFMON & 1);
}

bool seccomp_is_filtering(void)
{
	return status_field("Seccomp:", 10) == 2;
}

bool in_user_namespace(void)
{
	unsigned inside, outside, n;
	FILE *f = fopen("/proc/self/uid_map", "re");
	bool whole = true;

	if (f) {
		whole = fscanf(f, "%u %u %u", &inside, &outside, &n) == 3 &&
			!inside && !outside && n == UINT32_MAX;
		fclose(f);
	}
	return !whole;
}

bool kernel_is_locked_down(void)
{
	char line[128] = "";
	FILE *f = fopen("/sys/kernel/security/lockdown", "re");

	if (f) {
		if (!fgets(line, sizeof(line), f))
			*line = '\0';
		fclose(f);
	}
	return strstr(line, "[confidentiality]");
}
