// SPDX-License-Identifier: MIT
/*
 * urt stat: counts what one command, or one running process, asks of the
 * kernel. Two rungs: BPF, and without it what the kernel itself tells of a
 * process (context switches, CPU time).
 */
#define _GNU_SOURCE
#include "stat.h"
#include "launch.h"
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct options {
	bool json;
	bool no_bpf;
	const char *out;
	long pid;
	long ops;
};

static const char usage_text[] =
	"usage: urt stat [OPTIONS] -- COMMAND [ARGUMENT ...]\n"
	"       urt stat [OPTIONS] -p PID\n"
	"\n"
	"Counts kernel context switches, system calls, io_uring operations and,\n"
	"for programs on uring_rt, switches in user space. The result goes to\n"
	"stderr; the command's stdout and exit status are its own.\n"
	"\n"
	"  -p, --pid PID      a running process, until it ends or Ctrl-C\n"
	"      --json         one JSON document (schema urt.stat.v1)\n"
	"  -o, --output FILE  the result goes there\n"
	"      --ops N        also print everything per operation, for N of them\n"
	"      --no-bpf       only what /proc and getrusage tell\n";

/* ---- /proc: what there is without BPF ---- */

static bool status_field(const char *line, const char *name, uint64_t *sum)
{
	size_t len = strlen(name);

	if (strncmp(line, name, len) || line[len] != ':')
		return false;
	*sum += strtoull(line + len + 1, NULL, 10);
	return true;
}

/* Sums over the threads that are there now. False: the process is gone. */
static bool proc_switches(pid_t pid, uint64_t *nvcsw, uint64_t *nivcsw)
{
	char path[300], line[256];
	uint64_t v = 0, n = 0;
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	if (!d)
		return false;
	while ((e = readdir(d))) {
		FILE *f;

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/status", pid,
			 e->d_name);
		f = fopen(path, "re");
		while (f && fgets(line, sizeof(line), f))
			if (!status_field(line, "voluntary_ctxt_switches", &v))
				status_field(line, "nonvoluntary_ctxt_switches",
					     &n);
		if (f)
			fclose(f);
	}
	closedir(d);
	*nvcsw = v;
	*nivcsw = n;
	return true;
}

static bool proc_cpu(pid_t pid, int64_t *user_ns, int64_t *system_ns)
{
	char path[64], line[1024], *p;
	unsigned long user, sys;
	long hz = sysconf(_SC_CLK_TCK);
	FILE *f;
	bool ok;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	ok = fgets(line, sizeof(line), f) && (p = strrchr(line, ')')) &&
	     sscanf(p + 1,
		    " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
		    &user, &sys) == 2;
	fclose(f);
	if (ok) {
		*user_ns = user * NS_PER_S / hz;
		*system_ns = sys * NS_PER_S / hz;
	}
	return ok;
}

/* ---- counting ---- */

/* ended: every thread is ending, so wait for their last switches. */
static void read_counts(struct counter *c, struct stat_result *r, bool ended)
{
	uint64_t runs, ns;

	if (!c || counter_read(c, &r->counts))
		return;
	/* Its parent may be told of a thread's end before its last switch. */
	for (int i = 0; i < 50 && ended && !counts_all_ended(&r->counts); i++) {
		sleep_ns(NS_PER_MS);
		counter_read(c, &r->counts);
	}
	r->nvcsw = r->nivcsw = 0;
	for (int i = 0; i < URT_CLASSES; i++) {
		r->nvcsw += r->counts.class[i].nvcsw;
		r->nivcsw += r->counts.class[i].nivcsw;
	}
	counter_cost(c, &runs, &ns);
	r->bpf_runs = runs - r->bpf_runs;
	r->bpf_ns = ns - r->bpf_ns;
}

static int64_t timeval_ns(struct timeval tv)
{
	return tv.tv_sec * NS_PER_S + tv.tv_usec * 1000;
}

static const int forwarded[] = { SIGINT,  SIGQUIT, SIGTERM,  SIGHUP, SIGUSR1,
				 SIGUSR2, SIGCONT, SIGWINCH, SIGALRM };

/* Blocks what is to be forwarded, and tells of it by a descriptor. */
static int signals_open(sigset_t *old)
{
	sigset_t set;

	sigemptyset(&set);
	for (unsigned i = 0; i < ARRAY_LEN(forwarded); i++)
		sigaddset(&set, forwarded[i]);
	sigprocmask(SIG_BLOCK, &set, old);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static int pidfd_open_(pid_t pid)
{
	return syscall(SYS_pidfd_open, pid, 0);
}

/* Until it has ended (true), or, where stop_on_signal, we are told to stop. */
static bool wait_for(pid_t pid, int pidfd, int signal_fd, bool stop_on_signal)
{
	struct pollfd fds[2] = { { pidfd, POLLIN, 0 },
				 { signal_fd, POLLIN, 0 } };
	struct signalfd_siginfo info;

	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return true;
		if (fds[0].revents)
			return true;
		if (!fds[1].revents ||
		    read(signal_fd, &info, sizeof(info)) != sizeof(info))
			continue;
		if (stop_on_signal && info.ssi_signo != SIGWINCH &&
		    info.ssi_signo != SIGCONT)
			return false;
		/* The terminal has sent its own to the whole group. */
		if (!stop_on_signal && info.ssi_code != SI_KERNEL)
			kill(pid, info.ssi_signo);
	}
}

static int shell_code(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
				   : WEXITSTATUS(status);
}

static int count_command(struct counter *c, struct stat_result *r)
{
	struct launch l;
	struct rusage ru;
	sigset_t old;
	int64_t begin;
	int err, status = 0, fd = signals_open(&old), pidfd = -1;
	char *dir = user_stats_dir_new();

	err = launch(&l, r->command, &old, -1, -1);
	if (err)
		goto out;
	r->pid = l.pid;
	pidfd = pidfd_open_(l.pid);
	if (c) {
		counter_start_at_exec(c, l.pid);
		counter_cost(c, &r->bpf_runs, &r->bpf_ns);
	}
	begin = now_ns();
	err = launch_go(&l);
	if (err)
		goto out;
	if (pidfd >= 0)
		wait_for(l.pid, pidfd, fd, false);
	while (wait4(l.pid, &status, 0, &ru) < 0 && errno == EINTR)
		;
	r->wall_ns = now_ns() - begin;
	r->exit_code = shell_code(status);
	r->user_ns = timeval_ns(ru.ru_utime);
	r->system_ns = timeval_ns(ru.ru_stime);
	r->nvcsw = ru.ru_nvcsw;
	r->nivcsw = ru.ru_nivcsw;
	read_counts(c, r, true);
	r->has_user = dir && user_stats_dir_read(dir, &r->user);
out:
	sigprocmask(SIG_SETMASK, &old, NULL);
	close(fd);
	close(pidfd);
	user_stats_dir_free(dir);
	if (err)
		fail("cannot run \"%s\": %s", r->command[0], strerror(-err));
	return err;
}

/* Without BPF, the last look at a process that ends is what counts. */
static void watch_proc(struct stat_result *r, int pidfd, int signal_fd)
{
	struct pollfd fds[2] = { { pidfd, POLLIN, 0 },
				 { signal_fd, POLLIN, 0 } };

	while (proc_switches(r->pid, &r->nvcsw, &r->nivcsw) &&
	       poll(fds, 2, 100) == 0)
		;
}

/* A descriptor of the process, if it is one and has not ended; else says so. */
static int running_process(pid_t pid)
{
	struct pollfd p = { pidfd_open_(pid), POLLIN, 0 };

	if (p.fd >= 0 && poll(&p, 1, 0) == 0)
		return p.fd;
	if (p.fd < 0 && errno == EINVAL)
		fail("%d is a thread: give the PID of its process", pid);
	else if (p.fd < 0)
		fail("no process has the PID %d", pid);
	else
		fail("the process %d has ended", pid);
	close(p.fd);
	return -1;
}

static int count_running(struct counter *c, struct stat_result *r, int pidfd)
{
	struct urt__stats_page *page;
	struct user_stats before = { 0 };
	int64_t begin = now_ns(), user_ns = -1, system_ns = -1;
	uint64_t nvcsw = 0, nivcsw = 0;
	sigset_t old;
	bool ended = false;
	int err, fd;

	proc_switches(r->pid, &nvcsw, &nivcsw);
	proc_cpu(r->pid, &user_ns, &system_ns);
	page = user_stats_map(r->pid);
	if (page)
		user_stats_add(&before, page);
	err = c ? counter_attach(c, r->pid) : 0;
	if (err) {
		fail("cannot count process %d: %s", r->pid, strerror(-err));
		return err;
	}
	fd = signals_open(&old);
	if (c) {
		counter_cost(c, &r->bpf_runs, &r->bpf_ns);
		ended = wait_for(r->pid, pidfd, fd, true);
	} else {
		watch_proc(r, pidfd, fd);
	}
	close(fd);
	sigprocmask(SIG_SETMASK, &old, NULL);
	r->wall_ns = now_ns() - begin;
	if (user_ns >= 0 && proc_cpu(r->pid, &r->user_ns, &r->system_ns)) {
		r->user_ns -= user_ns;
		r->system_ns -= system_ns;
	}
	r->nvcsw -= nvcsw;
	r->nivcsw -= nivcsw;
	read_counts(c, r, ended);
	if (page) {
		user_stats_add(&r->user, page);
		user_stats_subtract(&r->user, &before);
		user_stats_unmap(page);
		r->has_user = true;
	}
	return 0;
}

static int count_pid(struct counter *c, struct stat_result *r)
{
	int pidfd = running_process(r->pid);
	int err = pidfd < 0 ? -ESRCH : count_running(c, r, pidfd);

	close(pidfd);
	return err;
}

/* ---- the command ---- */

static int parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "pid", required_argument, NULL, 'p' },
		{ "output", required_argument, NULL, 'o' },
		{ "json", no_argument, NULL, 'j' },
		{ "ops", required_argument, NULL, 'n' },
		{ "no-bpf", no_argument, NULL, 'B' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "+p:o:h", longs, NULL)) != -1) {
		switch (opt) {
		case 'p':
			if (!parse_number("-p", optarg, 1, 1 << 22, &o->pid))
				return EXIT_BAD;
			break;
		case 'n':
			if (!parse_number("--ops", optarg, 1, INT64_MAX,
					  &o->ops))
				return EXIT_BAD;
			break;
		case 'o':
			o->out = optarg;
			break;
		case 'j':
			o->json = true;
			break;
		case 'B':
			o->no_bpf = true;
			break;
		case 'h':
			fputs(usage_text, stdout);
			exit(0);
		default:
			return fail("`urt stat --help` lists the options");
		}
	}
	if (!o->pid == (optind == argc))
		return fail("stat: give either a command after -- or -p PID");
	return 0;
}

int cmd_stat(int argc, char **argv)
{
	struct options o = { 0 };
	struct stat_result r = { .user_ns = -1, .system_ns = -1 };
	struct counter *counter = NULL;
	FILE *out = stderr;
	int err;

	if (parse(argc, argv, &o))
		return EXIT_BAD;
	if (o.out && !(out = fopen(o.out, "we")))
		return fail("cannot write %s: %s", o.out, strerror(errno));
	r.ops = o.ops;
	r.pid = o.pid;
	if (!o.pid)
		r.command = argv + optind;
	if (o.no_bpf)
		strcpy(r.why_no_bpf, "not wanted (--no-bpf)");
	else
		counter = counter_open(r.why_no_bpf, sizeof(r.why_no_bpf));
	r.source = counter ? "bpf" : "proc";
	r.has_uring = counter && counter_has_uring(counter);
	if (counter)
		counter_measure_cost(counter, true);
	err = o.pid ? count_pid(counter, &r) : count_command(counter, &r);
	counter_close(counter);
	if (err)
		return EXIT_BAD;
	if (o.json)
		stat_print_json(out, &r);
	else
		stat_print_text(out, &r);
	if (fflush(out) || ferror(out))
		return fail("cannot write the result: %s", strerror(errno));
	return r.exit_code;
}
