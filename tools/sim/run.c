// SPDX-License-Identifier: MIT
/*
 * Runs of a program under the simulator, which is a library that the command
 * carries inside itself and preloads from a memfd. The program is started once
 * (uring_rt/sim/serve.c), and each run is a fork of it. Addresses are not
 * random. The output of a sweep's run is kept, and is shown only if the run
 * fails.
 */
#define _GNU_SOURCE
#include "sim.h"
#include "../../uring_rt/sim/result.h"
#include "../lib/launch.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIBRARY_FD 990 /* above the program's descriptors */
#define SOCKET_FD  991
#define REPORT_S \
	1 /* time to report a hang: no thread of the run works for so long */

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
static void become(const struct sim_options *o, const struct sim_job *j,
		   int socket, unsigned nth)
{
	struct rlimit core = { 0, 0 };
	struct sim_result s = { 0 };
	char path[64];
	int fd = memfd_create("liburt_sim.so", 0);

	if (fd < 0 || !sim_library_write(fd) || dup2(fd, LIBRARY_FD) < 0 ||
	    dup2(socket, SOCKET_FD) < 0)
		_exit(fail("cannot make the simulator's library: %s",
			   strerror(errno)));
	close(fd);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", LIBRARY_FD);
	setenv("LD_PRELOAD", path, 1);
	snprintf(path, sizeof(path), "%d", SOCKET_FD);
	setenv("URT_SIM_SERVE", path, 1);
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getppid(), j->shared_fd);
	setenv("URT_SIM_RESULT", path, 1);
	if (j->what.shown && o->trace)
		setenv("URT_SIM_TRACE", o->trace, 1);
	if (!j->what.shown) {
		setrlimit(RLIMIT_CORE, &core);
		dup2(j->output_fd, STDOUT_FILENO);
		dup2(j->output_fd, STDERR_FILENO);
	}
	if (personality(ADDR_NO_RANDOMIZE) < 0)
		fprintf(stderr,
			"urt: addresses stay random here (%s): a "
			"program that depends on them does not repeat\n",
			strerror(errno));
	if (!j->what.shown) /* each run of a sweep has one CPU */
		launch_pin(nth % sysconf(_SC_NPROCESSORS_ONLN));
	execvp(o->command[0], o->command);
	s.exec_error = -errno;
	if (pwrite(j->shared_fd, &s, sizeof(s), 0) < 0)
		_exit(EXIT_BAD);
	_exit(launch_exit_code(s.exec_error));
}

static bool start(struct sim_job *j, const struct sim_options *o, unsigned nth)
{
	pid_t self = getpid();
	int ends[2];

	j->output_fd = -1;
	j->shared_fd = memfd_create("urt sim result", MFD_CLOEXEC);
	if (!j->what.shown)
		j->output_fd = memfd_create("urt sim output", MFD_CLOEXEC);
	if (j->shared_fd < 0 || (!j->what.shown && j->output_fd < 0) ||
	    ftruncate(j->shared_fd, sizeof(struct sim_result)) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return false;
	fflush(NULL);
	j->pid = fork();
	if (!j->pid) {
		launch_die_with(self);
		become(o, j, ends[1], nth);
	}
	close(ends[1]);
	j->socket = ends[0];
	if (j->pid > 0)
		return true;
	j->pid = 0;
	return false;
}

bool sim_job_begin(struct sim_job *j, const struct sim_options *o,
		   const struct sim_case *c, unsigned nth)
{
	char setting[SIM_SETTING_MAX];
	struct sim_result s = { 0 };

	j->what = *c;
	j->hung = false;
	if (!j->pid) {
		if (!start(j, o, nth))
			return false;
	} else if (pwrite(j->shared_fd, &s, sizeof(s), 0) < 0 ||
		   (j->output_fd >= 0 && (ftruncate(j->output_fd, 0) ||
					  lseek(j->output_fd, 0, SEEK_SET)))) {
		return false;
	}
	sim_setting(o, c, setting, sizeof(setting));
	j->seen_ns = now_ns();
	j->limit_ns = o->timeout_s * NS_PER_S;
	j->until_ns = j->seen_ns + j->limit_ns;
	/* If the program has ended already, its status tells why. */
	send(j->socket, setting, strlen(setting), MSG_NOSIGNAL);
	return true;
}

void sim_job_close(struct sim_job *j)
{
	if (!j->pid)
		return;
	kill(j->pid, SIGKILL); /* its children die with it */
	waitpid(j->pid, NULL, 0);
	close(j->socket);
	close(j->shared_fd);
	if (j->output_fd >= 0)
		close(j->output_fd);
	j->pid = 0;
}

static void take_result(struct sim_job *j, struct sim_run *r)
{
	struct sim_result s = { 0 };

	if (pread(j->shared_fd, &s, sizeof(s), 0) != sizeof(s))
		return;
	r->switches = s.switches;
	r->faults = s.faults;
	r->simulated_ns = s.ns;
	r->exec_error = s.exec_error;
	r->loaded = s.loaded;
	r->hung = s.hung;
	r->rings = s.rings;
	memcpy(r->not_simulated, s.not_simulated, sizeof(r->not_simulated));
}

/* Reports to the same place as the run's output. */
static void tell_late(const struct sim_job *j, pid_t pid)
{
	FILE *f = j->output_fd < 0 ? NULL : fdopen(dup(j->output_fd), "a");

	sim_tell_late(f ? f : stderr, pid);
	if (f)
		fclose(f);
}

/* Called ten times a second. Time in which it was not called, as after Ctrl-Z, does not
 * count: the program could most likely not run either. */
static bool is_late(struct sim_job *j)
{
	int64_t now = now_ns();
	struct sim_result s = { 0 };

	if (now - j->seen_ns > NS_PER_S)
		j->until_ns += now - j->seen_ns;
	j->seen_ns = now;
	if (pread(j->shared_fd, &s, sizeof(s), 0) != sizeof(s))
		s.hung = s.pid = 0;
	if (s.hung && !j->hung) {
		j->hung = true; /* a handler of SIGQUIT may keep it alive */
		j->until_ns = now + REPORT_S * NS_PER_S;
	}
	if (now < j->until_ns)
		return false;
	if (sim_waits_for_cpu(s.pid, j->limit_ns) ||
	    sim_waits_for_cpu(j->pid, INT64_MAX)) {
		j->until_ns = now + NS_PER_S / 10;
		return false;
	}
	tell_late(j, s.pid ? s.pid : j->pid);
	return true;
}

/* The status, as of wait(2), of a program that ended without a message: it did not load
 * the library, could not be run, or was killed. */
static int silent_end(const struct sim_job *j)
{
	siginfo_t info = { 0 };

	waitid(P_PID, j->pid, &info, WEXITED | WNOWAIT);
	return info.si_code == CLD_EXITED ? info.si_status << 8
					  : info.si_status;
}

bool sim_job_ended(struct sim_job *j, bool stop, struct sim_run *r)
{
	bool silent;
	ssize_t n;

	*r = (struct sim_run){ .what = j->what, .output_fd = -1 };
	n = recv(j->socket, &r->status, sizeof(r->status), MSG_DONTWAIT);
	silent = !n || (n < 0 && errno != EAGAIN);
	if (n < 0 && !silent && !stop && !is_late(j))
		return false;
	r->late = n < 0 && !silent && !stop;
	if (silent)
		r->status = silent_end(j);
	take_result(j, r);
	if (sim_run_failed(r) && !stop && !j->what.shown)
		r->output_fd = fcntl(j->output_fd, F_DUPFD_CLOEXEC, 0);
	if (n <= 0 || r->output_fd >= 0)
		sim_job_close(j);
	return true;
}

bool sim_run_failed(const struct sim_run *r)
{
	return r->late || r->hung || !r->loaded || !WIFEXITED(r->status) ||
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
	if (r->hung)
		snprintf(buf, 64, "it hung");
	else if (r->late)
		snprintf(buf, 64, "it took longer than --timeout");
	else if (WIFSIGNALED(r->status))
		snprintf(buf, 64, "it died of SIG%s",
			 sigabbrev_np(WTERMSIG(r->status)));
	else
		snprintf(buf, 64, "its exit status was %d",
			 WEXITSTATUS(r->status));
	return buf;
}
