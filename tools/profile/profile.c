// SPDX-License-Identifier: MIT
/*
 * urt profile: where a program's time goes, on and off the CPU, and, for a program
 * on uring_rt, where its coroutines wait. BPF programs sample and time the threads
 * in the kernel (sample.c); coroutines are read from outside (coroutines.c). Both
 * become folded stacks (folds.c), which print.c prints.
 */
#define _GNU_SOURCE
#include "profile.h"
#include "../lib/options.h"
#include "../lib/output.h"
#include "../lib/privileges.h"
#include "../lib/text.h"
#include "../measure/coros.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST_NS (5 * NS_PER_MS)   /* until names are first read */
#define LEARN_NS (250 * NS_PER_MS) /* ... at most, until the next time */
#define LOOK_NS	 (500 * NS_PER_MS) /* between looks at coroutines */
#define RATE	 99

static volatile sig_atomic_t signals, of_terminal;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	signals++;
	of_terminal = info->si_code == SI_KERNEL; /* the command got it, too */
}

struct running {
	const struct profile_options *o;
	struct profile p;
	struct sampler *sampler;
	struct names *names;
	struct coro_looks *coros;
	bool no_coros; /* the search for coroutines was given up */
	pid_t pid;     /* of the command, or -p */
	int pidfd;
};

/* A command makes its coroutines soon after its start, or never. */
static void look_at_coroutines(struct running *r, int64_t since_begin)
{
	int err;

	if (!r->coros && !r->no_coros)
		r->coros = coro_looks_open(r->pid);
	err = r->coros ? coro_looks_take(r->coros, r->p.folds) : -ESRCH;
	if (!err)
		r->p.looks++;
	if (err == -E2BIG) {
		fail("%d claims more coroutines than can be read in %d s: they "
		     "are left out",
		     r->pid, (int)(COROS_LIVE_NS / NS_PER_S));
		coro_looks_close(r->coros);
		r->coros = NULL;
	}
	r->no_coros = err == -E2BIG || (!r->coros && since_begin > 2 * LOOK_NS);
}

/* Follows the program until it ends, the duration is over, or a signal comes. */
static void follow(struct running *r)
{
	int64_t begin = now_ns(), learn_at = begin + FIRST_NS, now = begin;
	int64_t wait = FIRST_NS,
		look_at = begin + (r->o->pid ? 0 : LOOK_NS / 5);
	int64_t end = r->o->duration_ns ? begin + r->o->duration_ns : INT64_MAX;
	struct pollfd p = { r->pidfd, POLLIN, 0 };
	int told = 0;

	while (now < end) {
		int64_t next = learn_at < look_at ? learn_at : look_at;

		next = next < end ? next : end;
		next = next > now ? next - now : 0;
		if (poll(&p, 1, next / NS_PER_MS + 1) > 0)
			break;
		now = now_ns();
		if (signals != told) {
			told = signals;
			if (!r->o->command)
				break;
			if (told > 1)
				kill(r->pid, SIGKILL);
			else if (!of_terminal)
				kill(r->pid, SIGINT);
		}
		if (now >= learn_at) {
			sampler_learn(r->sampler, r->names);
			wait = 2 * wait < LEARN_NS ? 2 * wait : LEARN_NS;
			wait = wait > 10 * (now_ns() - now)
				       ? wait
				       : 10 * (now_ns() - now);
			learn_at = now_ns() + wait;
		}
		if (now >= look_at && !r->no_coros) {
			look_at_coroutines(r, now - begin);
			look_at = now_ns() + LOOK_NS;
		} else if (r->no_coros) {
			look_at = INT64_MAX;
		}
	}
	r->p.wall_ns = now_ns() - begin;
}

static int end_command(struct running *r)
{
	int status = 0;

	if (!r->o->command)
		return 0;
	if (r->o->duration_ns && waitpid(r->pid, &status, WNOHANG) == 0) {
		kill(r->pid, SIGTERM);
		waitpid(r->pid, &status, 0);
		return 0; /* SIGTERM was ours: no failure */
	}
	if (!r->o->duration_ns)
		while (waitpid(r->pid, &status, 0) < 0 && errno == EINTR)
			;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
				   : WEXITSTATUS(status);
}

static int start(struct running *r, struct launch *l)
{
	int err;

	if (r->o->command) {
		err = launch_command(l, r->o->command, NULL, r->o->user, NULL);
		if (err)
			return fail("cannot start a process: %s",
				    strerror(-err));
		r->pid = l->pid;
		r->pidfd = syscall(SYS_pidfd_open, r->pid, 0);
	}
	err = sampler_attach(r->sampler, r->pid, !r->o->command);
	if (err)
		return fail("cannot profile %d: %s", r->pid, strerror(-err));
	privileges_reduce();
	err = r->o->command ? launch_go(l) : 0;
	if (!err)
		return 0;
	fail("cannot run \"%s\": %s", r->o->command[0], strerror(-err));
	return launch_exit_code(err);
}

static void set_title(struct running *r)
{
	char *to = r->p.title;
	size_t size = sizeof(r->p.title);

	if (r->o->pid)
		snprintf(to, size, "process %ld", r->o->pid);
	for (char **a = r->o->command; a && *a; a++)
		snprintf(to + strlen(to), size - strlen(to), "%s%s",
			 *to ? " " : "", *a);
	text_clean(to);
}

static int measure(struct running *r, FILE *out)
{
	struct launch l = { 0 };
	int code = start(r, &l);

	if (code)
		return code;
	follow(r);
	if (r->coros && r->o->pid) /* a last look, perhaps the only one */
		look_at_coroutines(r, 0);
	sampler_finish(r->sampler, r->names, r->p.folds);
	r->p.lost = sampler_lost(r->sampler);
	code = end_command(r);
	set_title(r);
	if (profile_print(out, r->o->output, &r->p,
			  profile_form(r->o->output))) {
		code = EXIT_BAD;
		if (r->o->output) /* what was measured is not lost */
			profile_print(stdout, NULL, &r->p, PROFILE_TEXT);
	}
	return code;
}

static int profile(const struct profile_options *o)
{
	struct sigaction sa = { .sa_sigaction = on_signal,
				.sa_flags = SA_SIGINFO };
	struct running r = { .o = o, .p = { .o = o }, .pid = o->pid };
	FILE *out = stdout;
	int code = EXIT_BAD;

	r.pidfd = o->pid ? process_open(o->pid) : -1;
	if (o->pid && r.pidfd < 0)
		return EXIT_BAD;
	if (o->output && !(out = output_open(o->output)))
		return EXIT_BAD;
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	r.sampler = sampler_open(o);
	r.names = r.sampler ? names_new() : NULL;
	r.p.folds = folds_new();
	if (r.sampler && r.names && r.p.folds)
		code = measure(&r, out);
	else if (r.sampler)
		fail("out of memory");
	if (o->output)
		fclose(out);
	coro_looks_close(r.coros);
	sampler_close(r.sampler);
	names_free(r.names);
	folds_free(r.p.folds);
	return code;
}

#define TO(field) OPTION_TO(struct profile_options, field)

static const struct option_row rows[] = {
	{ OPTION_PID, TO(pid),
	  .text = "Profile this running process and the processes that it starts." },
	{ .name = "duration",
	  .argument = "MS",
	  .kind = OPTION_MS,
	  TO(duration_ns),
	  .min = 1,
	  .max = 1 << 30,
	  .text = "Stop after MS milliseconds; a command gets SIGTERM." },
	{ .letter = 'F',
	  .name = "freq",
	  .argument = "HZ",
	  .kind = OPTION_NUMBER,
	  TO(rate),
	  .min = 1,
	  .max = 10000,
	  .text = "Sample each CPU HZ times per second; default 99." },
	{ .name = "threads",
	  .kind = OPTION_FLAG,
	  TO(threads),
	  .text = "Show threads of the same name separately." },
	{ .name = "limit",
	  .argument = "N",
	  .kind = OPTION_NUMBER,
	  TO(limit),
	  .text = "Print N stacks of each kind; default 5, 0: all." },
	{ OPTION_OUTPUT, TO(output),
	  .text = "Write to FILE. A name that ends in .folded gives folded stacks; in .html, a flame graph as one page that needs no network; in .pb.gz or .pprof, a profile for pprof (`go tool pprof`); any other, text." },
	{ OPTION_USER, TO(user_name) },
	/* urt stat's and perf record's */
	{ .name = "timeout",
	  .argument = "MS",
	  .kind = OPTION_INSTEAD,
	  .text = "use --duration MS" },
	{ .letter = 'g',
	  .kind = OPTION_INSTEAD,
	  .text = "stacks are always followed" },
	{ .name = "call-graph",
	  .argument = "MODE",
	  .kind = OPTION_INSTEAD,
	  .text = "stacks of threads are followed by frame pointers, those of coroutines by the program's tables" },
	{ .letter = 'a',
	  .name = "all",
	  .kind = OPTION_INSTEAD,
	  .text = "take one process, with -p PID; `urt top` shows which" },
};

const struct command command_profile = {
	.name = "profile",
	.run = cmd_profile,
	.what = "print where threads and coroutines are, by stacks",
	.usage = "[OPTIONS] [-p PID | -- COMMAND [ARGUMENT ...]]",
	.about =
		"Prints where a program's time goes. On the CPU, it samples stacks; off the CPU, it adds up the time by the stack with which each thread left the CPU and the stack of the thread that woke it. Of a program on uring_rt, it also prints where coroutines wait and why; of one in Go, its goroutines. Profiles a command and its descendants until the command ends, or a running process until Ctrl-C.",
	.notes =
		"Time off the CPU is added up over all threads, and is exact: it includes waits that have not ended. Of a thread that sleeps from the beginning to the end, urt reads the stack from the program's memory and names the system call; one that already slept and wakes has no stack for that time. Coroutines are sampled every 500 ms; their numbers are means of all samples. The folded stacks are in microseconds of time, or coroutines; the first frame is on-cpu, off-cpu or coroutines.\n\nThe kernel follows the stacks of threads by frame pointers: build programs with -fno-omit-frame-pointer. A library without them hides the function that called it. Stacks of coroutines are unwound by the programs' own tables. Functions that are compiled at run time have names if their compiler writes /tmp/perf-PID.map, as Node does with --perf-basic-prof. Goroutines are read as `urt dump` reads them, and are n/a where it says so.",
	OPTIONS(rows),
	.runs_command = true,
};

int cmd_profile(int argc, char **argv)
{
	struct profile_options o = { .rate = RATE, .limit = 5 };
	static struct launch_user user;
	int first = options_parse(&command_profile, argc, argv, &o);

	if (first < 0)
		return EXIT_BAD;
	if (first < argc)
		o.command = argv + first;
	if (!o.command == !o.pid)
		return fail(
			"profile: give either a command after -- or -p PID, "
			"which --duration MS or Ctrl-C ends");
	if (launch_user_find(o.user_name, &user))
		o.user = &user;
	else if (o.user_name)
		return EXIT_BAD;
	return profile(&o);
}
