// SPDX-License-Identifier: MIT
/* See child.h. */
#define _GNU_SOURCE
#include "child.h"
#include "../../uring_rt/base/share.h"
#include "../../uring_rt/base/stats.h"
#include <dirent.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

int child_says(urt_fn *fn, const struct urt_options *o, char *buf, size_t size)
{
	int fds[2], status;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	ck_assert_int_eq(pipe(fds), 0);
	pid = fork();
	if (!pid) {
		struct rlimit no_core = { 0, 0 };

		setrlimit(RLIMIT_CORE, &no_core);
		dup2(fds[1], 2);
		urt_run_with(fn, NULL, o);
		_exit(0);
	}
	close(fds[1]);
	while ((n = read(fds[0], buf + len, size - 1 - len)) > 0)
		len += n;
	buf[len] = '\0';
	close(fds[0]);
	waitpid(pid, &status, 0);
	return status;
}

void in_child(int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(fn());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
		SKIP("not possible here");
	ck_assert_msg(!status, "status %x", status);
}

long status_of(const char *name)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	long n = -1;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)))
			n = atol(line + strlen(name) + 1);
	if (f)
		fclose(f);
	return n;
}

int descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = -1; /* its own */

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n - 2;
}

pid_t liar(void (*lie)(const char *), const char *mode)
{
	pid_t parent = getpid(), pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	if (!geteuid() && setresuid(NOBODY, NOBODY, NOBODY))
		_exit(1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 1);
	lie(mode);
	_exit(0);
}

void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

struct urt__stats_page *counters_page(size_t size, bool sealed, int *fd)
{
	struct urt__stats_page *p;

	*fd = sealed ? urt__share_new(URT__STATS_NAME, size)
		     : memfd_create(URT__STATS_NAME, 0);
	if (*fd < 0 || (!sealed && ftruncate(*fd, size)))
		_exit(1);
	p = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	p->header_size = 4096;
	p->slot_size = 1024;
	p->slots = 4;
	p->counters = 22;
	p->ops = 64;
	p->pid = getpid();
	strcpy(p->name[0], "switches");
	urt__stats_slot(p, 0)->counter[0] = 1000;
	__atomic_store_n(&p->magic, URT__STATS_MAGIC, __ATOMIC_RELEASE);
	return p;
}
