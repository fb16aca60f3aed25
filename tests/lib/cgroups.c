// SPDX-License-Identifier: MIT
/* See cgroups.h. */
#define _GNU_SOURCE
#include "cgroups.h"
#include "test.h"
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

char cgroup_mount[64];

bool have_cgroups(void)
{
	static const char *const at[] = { "/sys/fs/cgroup",
					  "/sys/fs/cgroup/unified" };
	char path[80];

	for (unsigned i = 0; i < ARRAY_LEN(at); i++) {
		snprintf(path, sizeof(path), "%s/cgroup.procs", at[i]);
		snprintf(cgroup_mount, sizeof(cgroup_mount), "%s", at[i]);
		if (!access(path, W_OK))
			return true;
	}
	return false;
}

static void group_path(char path[128], unsigned round, unsigned i)
{
	snprintf(path, 128, "%s/urt-churn-%u-%u", cgroup_mount, round, i);
}

void test_group_make(unsigned round, unsigned i)
{
	struct clone_args args = { .flags = CLONE_INTO_CGROUP,
				   .exit_signal = SIGCHLD };
	struct timespec interval;
	char path[128];
	pid_t pid;
	int fd;

	group_path(path, round, i);
	ck_assert_int_eq(mkdir(path, 0755), 0);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	args.cgroup = fd;
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (!pid) {
		for (int n = 0; n < 3; n++)
			sched_rr_get_interval(0, &interval);
		_exit(0);
	}
	ck_assert_int_gt(pid, 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	close(fd);
}

void test_group_remove(unsigned round, unsigned i)
{
	char path[128];

	group_path(path, round, i);
	ck_assert_int_eq(rmdir(path), 0);
}
