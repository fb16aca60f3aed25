// SPDX-License-Identifier: MIT
/*
 * One run of a program under the simulator, which is a library that the command
 * carries inside itself and preloads by a memfd. Addresses are not random, and
 * the output of a sweep's runs is kept and shown only for one that fails.
 */
#define _GNU_SOURCE
#include "sim.h"
#include "../lib/launch.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIBRARY_FD 990 /* out of the program's way */

__asm__(".section .rodata\n"
	"urt__sim_library: .incbin \"" URT_SIM_LIBRARY "\"\n"
	"urt__sim_library_end: .byte 0\n"
	".previous");
extern const char urt__sim_library[], urt__sim_library_end[];

bool sim_library_write(int fd)
{
	size_t size = urt__sim_library_end - urt__sim_library;

	return write(fd, urt__sim_library, size) == (ssize_t)size;
}

/* The library's counts in the program; and why there is no program. */
struct shared {
	long switches, faults;
	int64_t ns;
	int64_t loaded; /* by the library */
	int64_t exec_error;
};

void sim_setting(const struct sim_options *o, const struct sim_case *c,
		 char *buf, size_t size)
{
	int n = snprintf(buf, size, "%llu", (unsigned long long)c->seed);

	if (c->switches >= 0)
		n += snprintf(buf + n, size - n, ",switches=%ld", c->switches);
	if (c->most_faults >= 0)
		n += snprintf(buf + n, size - n, ",faults=%ld", c->most_faults);
	if (o->workers)
		n += snprintf(buf + n, size - n, ",workers=%ld", o->workers);
	if (o->faults)
		snprintf(buf + n, size - n, ",%s", o->faults);
}

/* In the child. */
static void become(const struct sim_options *o, const struct sim_case *c,
		   struct sim_run *r, unsigned cpu)
{
	char setting[SIM_SETTING_MAX], path[64];
	struct rlimit core = { 0, 0 };
	struct shared s = { 0 };
	cpu_set_t one;
	int fd = memfd_create("liburt_sim.so", 0);

	if (fd < 0 || !sim_library_write(fd) || dup2(fd, LIBRARY_FD) < 0)
		_exit(fail("cannot make the simulator's library: %s",
			   strerror(errno)));
	close(fd);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", LIBRARY_FD);
	setenv("LD_PRELOAD", path, 1);
	sim_setting(o, c, setting, sizeof(setting));
	setenv("URT_SIM", setting, 1);
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getppid(), r->shared_fd);
	setenv("URT_SIM_RESULT", path, 1);
	if (c->shown && o->trace)
		setenv("URT_SIM_TRACE", o->trace, 1);
	if (!c->shown) {
		setrlimit(RLIMIT_CORE, &core);
		dup2(r->output_fd, STDOUT_FILENO);
		dup2(r->output_fd, STDERR_FILENO);
	}
	if (personality(ADDR_NO_RANDOMIZE) < 0)
		fprintf(stderr,
			"urt: addresses stay random here (%s): a "
			"program that depends on them does not repeat\n",
			strerror(errno));
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (!c->shown) /* runs of a sweep each have a CPU */
		sched_setaffinity(0, sizeof(one), &one);
	execvp(o->command[0], o->command);
	s.exec_error = -errno;
	if (pwrite(r->shared_fd, &s, sizeof(s), 0) < 0)
		_exit(EXIT_BAD);
	_exit(launch_exit_code(s.exec_error));
}

bool sim_run_start(const struct sim_options *o, struct sim_run *r,
		   const struct sim_case *c, unsigned cpu)
{
	pid_t self = getpid();

	*r = (struct sim_run){ .what = *c, .output_fd = -1, .pidfd = -1 };
	r->shared_fd = memfd_create("urt sim result", MFD_CLOEXEC);
	if (!c->shown)
		r->output_fd = memfd_create("urt sim output", MFD_CLOEXEC);
	if (r->shared_fd < 0 || (!c->shown && r->output_fd < 0) ||
	    ftruncate(r->shared_fd, sizeof(struct shared)))
		return false;
	fflush(NULL);
	r->pid = fork();
	if (!r->pid) {
		launch_die_with(self);
		become(o, c, r, cpu);
	}
	r->pidfd = r->pid > 0 ? (int)syscall(SYS_pidfd_open, r->pid, 0) : -1;
	r->until_ns = now_ns() + o->timeout_s * NS_PER_S;
	return r->pidfd >= 0;
}

bool sim_run_over(struct sim_run *r, bool stop)
{
	struct pollfd p = { r->pidfd, POLLIN, 0 };
	struct shared s = { 0 };
	int status;

	if (poll(&p, 1, 0) != 1) {
		if (!stop && now_ns() < r->until_ns)
			return false;
		r->late = !stop;
		kill(r->pid, SIGKILL);
	}
	waitpid(r->pid, &status, 0);
	close(r->pidfd);
	r->status = status;
	if (pread(r->shared_fd, &s, sizeof(s), 0) == sizeof(s)) {
		r->switches = s.switches;
		r->faults = s.faults;
		r->simulated_ns = s.ns;
		r->exec_error = s.exec_error;
		r->loaded = s.loaded;
	}
	close(r->shared_fd);
	return true;
}

bool sim_run_failed(const struct sim_run *r)
{
	return r->late || !r->loaded || !WIFEXITED(r->status) ||
	       WEXITSTATUS(r->status);
}

/* Copies its output to stderr. */
void sim_run_show(const struct sim_run *r)
{
	char buf[4096];
	off_t at = 0;
	ssize_t n;

	while ((n = pread(r->output_fd, buf, sizeof(buf), at)) > 0) {
		if (write(STDERR_FILENO, buf, n) < 0)
			return;
		at += n;
	}
}

void sim_run_close(struct sim_run *r)
{
	if (r->output_fd >= 0)
		close(r->output_fd);
	r->output_fd = -1;
}

const char *sim_run_how(const struct sim_run *r, char buf[64])
{
	if (r->late)
		snprintf(buf, 64, "it took longer than --timeout");
	else if (WIFSIGNALED(r->status))
		snprintf(buf, 64, "it died of SIG%s",
			 sigabbrev_np(WTERMSIG(r->status)));
	else
		snprintf(buf, 64, "its exit status was %d",
			 WEXITSTATUS(r->status));
	return buf;
}
