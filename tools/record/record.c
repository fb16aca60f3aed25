// SPDX-License-Identifier: MIT
/*
 * urt record: a timeline of a command, of running processes or of all, for
 * ui.perfetto.dev. The kernel's side is bpf/record.bpf.c. Its events and
 * those of the coroutines' rings are copied to memory (held.c), and
 * become a timeline later (recent.c, timeline.c), so that a program which needs all CPUs
 * keeps them. All sides hold a fixed amount of memory.
 */
#define _GNU_SOURCE
#include "../lib/launch.h"
#include "../lib/output.h"
#include "../lib/privileges.h"
#include "../measure/bpf_setup.h"
#include "kernel_events.h"
#include "recent.h"
#include "timeline.h"
#include "../lib/options.h"
#include "../lib/tool.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LAST_MS	 500 /* until events that are being written are given up */
#define PRESS_MS 10  /* encoding at a time, if the memory is nearly full */
#define NEARLY	 0.9 /* ... which is this share */
#define SHARE \
	50 /* while it records, urt encodes in up to 1/SHARE of the time; and
	      while half of the memory is free, in a tenth of that */
#define FOREVER (INT64_MAX / 2)

struct options {
	char **command;
	const struct launch_user
		*user; /* the user that the command runs as; NULL: us */
	const char *out, *user_name;
	int64_t duration_ns;
	long pid, buffer_mb, max_mb, memory_mb, coroutines, sample;
	double last; /* s; 0: all */
	bool all, if_fails;
};

struct recording {
	struct kernel_events kernel;
	FILE *f;
	struct timeline *timeline; /* NULL: with --last, until it is written */
	struct held *held;	   /* events on their way to it */
	struct recent *recent;	   /* puts them in order */
	struct trace_pages *pages; /* NULL: coroutines are not recorded */
	int64_t ahead_ns; /* of the timeline's clock to CLOCK_MONOTONIC */
	int64_t find_ns;  /* when to look for runs next */
	int pidfd;	  /* of the process given; or -1 */
	bool full;	  /* the file has its greatest size */
	bool pressed;	  /* the memory was nearly full */
	bool began;	  /* there was something to record */
};

/* How often a signal told us to stop: the second one kills a command that does
 * not end. */
static volatile sig_atomic_t stops;
/* How often SIGUSR1 asked for what --last holds. */
static volatile sig_atomic_t wanted_now;

static void on_signal(int sig)
{
	if (sig == SIGUSR1)
		wanted_now++;
	else
		stops++;
}

/* ---- coroutines ---- */

/* The kernel's programs stamp events by CLOCK_BOOTTIME, runs by _MONOTONIC. */
static int64_t boot_ahead_ns(void)
{
	int64_t best = INT64_MAX, ahead = 0;

	for (int i = 0; i < 9; i++) {
		int64_t before = now_ns(), boot = kernel_events_now();
		int64_t after = now_ns();

		if (after - before < best) {
			best = after - before;
			ahead = boot - before - best / 2;
		}
	}
	return ahead;
}

/*
 * Reads the present events of the rings. A look finds runs that have begun;
 * runs that we launched trace from their first event on, and cannot be missed.
 */
static double coroutines_read(struct recording *r, const struct options *o)
{
	int64_t now = now_ns();

	if (!r->pages)
		return 0;
	trace_pages_find_launched(r->pages);
	if (now >= r->find_ns && o->all)
		trace_pages_find_all(r->pages);
	else if (now >= r->find_ns && o->pid)
		trace_pages_find(r->pages, o->pid);
	if (now >= r->find_ns)
		r->find_ns = now + NS_PER_S / 2;
	return trace_pages_read(r->pages);
}

/* ---- writing ---- */

/* Ends the timeline and prints its size, and what it lacks. Returns the bytes
 * of the file, or -errno: writing failed. */
static int64_t write_end(struct recording *r, struct timeline *t,
			 const struct options *o)
{
	struct timeline_lost lost = { kernel_events_dropped(&r->kernel), 0 };
	unsigned runs = r->pages ? trace_pages_runs(r->pages) : 0;
	unsigned missed = r->pages ? trace_pages_missed(r->pages) : 0;
	const char *why = r->pages ? trace_pages_why(r->pages) : NULL;
	int64_t size;

	if (r->pages)
		lost.coroutine_events = trace_pages_lost(r->pages);
	size = timeline_finish(t, &lost);
	if (!r->began || size < 0)
		return size;
	fprintf(stderr, "urt: %s: %.1f MiB", o->out, size / 1048576.0);
	if (o->last)
		fprintf(stderr, ", the last %.3f s",
			recent_span_ns(r->recent) / 1e9);
	fprintf(stderr, ", %" PRIu64 " events dropped", lost.events);
	if (runs)
		fprintf(stderr,
			", %" PRIu64 " of coroutines overwritten in %u run%s",
			lost.coroutine_events, runs, runs > 1 ? "s" : "");
	if (missed)
		fprintf(stderr, ", %u more not traced", missed);
	if (why)
		fprintf(stderr, " (%s)", why);
	if (o->last ? held_is_short(r->held) : r->pressed)
		fprintf(stderr,
			o->last ? "; %ld MiB (--memory) hold no more"
				: "; its %ld MiB (--memory) were full, "
				  "so that it took CPU time for the rest "
				  "while the program ran",
			o->memory_mb);
	fputc('\n', stderr);
	return size;
}

/* The events held replace the contents of the file: without privileges, urt
 * could not make another file. */
static int64_t write_recent(struct recording *r, const struct options *o)
{
	struct timeline *t;

	rewind(r->f);
	if (ftruncate(fileno(r->f), 0) && errno != EINVAL)
		return -errno;
	t = timeline_new(r->f, o->coroutines, o->sample);
	if (!t)
		return -ENOMEM;
	recent_write(r->recent, t);
	return write_end(r, t, o);
}

/* ---- recording ---- */

/* The time for encoding, of that which has passed. */
static int64_t encoding_share(const struct recording *r, int64_t ns)
{
	return ns / SHARE / (held_used(r->held) < 0.5 ? 10 : 1);
}

/* Encodes events for at most that time. False: the file is full, and cannot
 * have all of them. */
static bool encode(struct recording *r, const struct options *o, int64_t ns)
{
	int64_t max = o->max_mb << 20, size;

	if (r->full || o->last || recent_spend(r->recent, r->timeline, ns, max))
		return !r->full;
	size = timeline_size(r->timeline);
	r->full = size < 0 || size >= max;
	if (size >= max)
		fprintf(stderr,
			"urt: the file has %ld MiB (--max-size): stopped\n",
			o->max_mb);
	return !r->full;
}

/* Records all present events. Returns the largest share of a ring that they took;
 * 1: there may be more already. */
static double take(struct recording *r, const struct options *o)
{
	double most = coroutines_read(r, o);

	most = fmax(most, kernel_events_look(&r->kernel));
	if (o->last) {
		held_forget(r->held);
	} else if (held_used(r->held) > NEARLY) {
		r->pressed = true;
		encode(r, o, PRESS_MS * NS_PER_MS);
		return 1;
	}
	return most;
}

/* Records the last events. Those for which there is no memory need time. */
static void take_last(struct recording *r, const struct options *o)
{
	int64_t end = now_ns() + LAST_MS * NS_PER_MS, before;
	double most = 1;

	for (int i = 0; (i < 2 || (most > 0.5 && now_ns() < end)) && !r->full;
	     i++) {
		poll(NULL, 0, i > 1);
		most = take(r, o);
		before = now_ns();
		if (held_used(r->held) > NEARLY && !o->last)
			encode(r, o, FOREVER);
		end += now_ns() - before;
	}
}

/* Whether the recorded command or process has ended. */
static bool has_ended(const struct recording *r, pid_t child, int *status)
{
	struct pollfd process = { r->pidfd, POLLIN, 0 };

	if (child)
		return waitpid(child, status, WNOHANG) == child;
	return r->pidfd >= 0 && poll(&process, 1, 0) > 0;
}

/*
 * Records until the command ends, the time is over, or a signal comes. A
 * command that we ask to end is recorded until it does.
 */
static int follow(struct recording *r, const struct options *o, pid_t child)
{
	int64_t end = o->duration_ns ? now_ns() + o->duration_ns : INT64_MAX;
	int status = 0, signal_sent = 0, written = wanted_now;
	int64_t now = now_ns(), before = now;
	double ms = RECENT_LOOK_MS;

	r->began = true;
	for (; !has_ended(r, child, &status); before = now, now = now_ns()) {
		bool over = stops || now >= end ||
			    !encode(r, o, encoding_share(r, now - before));
		int wanted = stops > 1 ? SIGKILL : SIGTERM;

		if (over && !child)
			break;
		if (over && signal_sent != wanted && signal_sent != SIGKILL) {
			kill(child, wanted);
			signal_sent = wanted;
		}
		poll(NULL, 0, ms);
		if (!r->full)
			ms = recent_next_look(
				ms, (now_ns() - now) / (double)NS_PER_MS,
				take(r, o));
		if (o->last && wanted_now != written) {
			written = wanted_now;
			write_recent(r, o);
		}
	}
	take_last(r, o);
	if (signal_sent)
		return 0;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
				   : WEXITSTATUS(status);
}

static int run(struct recording *r, const struct options *o)
{
	struct launch l = { 0 };
	int err;

	if (o->command) {
		if (r->pages && !trace_pages_launching(r->pages))
			return fail("cannot make a socket for trace rings: %s",
				    strerror(errno));
		err = launch_command(&l, o->command, NULL, o->user, NULL);
		if (err)
			return fail("cannot start a process: %s",
				    strerror(-err));
	}
	err = o->all || o->pid
		      ? kernel_events_running(&r->kernel, o->pid, o->all)
		      : 0;
	if (err)
		return fail("cannot record running processes: %s",
			    strerror(-err));
	privileges_reduce();
	if (r->pages)
		coroutines_read(r, o);
	if (!o->command)
		return follow(r, o, 0);
	if (!o->all && !o->pid)
		kernel_events_starting(&r->kernel, l.pid);
	err = launch_go(&l);
	if (!err)
		return follow(r, o, l.pid);
	fail("cannot run \"%s\": %s", o->command[0], strerror(-err));
	return launch_exit_code(err);
}

static bool recording_begin(struct recording *r, const struct options *o)
{
	r->held = held_new((size_t)o->memory_mb << 20, o->last * NS_PER_S);
	r->ahead_ns = boot_ahead_ns();
	if (o->coroutines)
		r->pages = trace_pages_new(r->held, r->ahead_ns);
	if (r->pages)
		trace_pages_sample(r->pages, o->sample);
	return r->held && (r->pages || !o->coroutines);
}

static void recording_free(struct recording *r)
{
	trace_pages_free(r->pages);
	kernel_events_close(&r->kernel);
	recent_free(r->recent);
	held_free(r->held);
}

/* Replaces the file, once nothing else can be missing. */
static bool recording_open(struct recording *r, const struct options *o)
{
	r->recent = recent_new(r->held, &r->kernel, r->pages, r->ahead_ns);
	if (!r->recent)
		return !fail("out of memory");
	r->f = output_open(o->out);
	if (r->f && !o->last)
		r->timeline = timeline_new(r->f, o->coroutines, o->sample);
	return r->f && (r->timeline || o->last || !fail("out of memory"));
}

/* A timeline that ends early can be read up to there. */
static int recording_end(struct recording *r, const struct options *o, int code)
{
	int64_t size = 0;

	if (!o->last) {
		encode(r, o, FOREVER);
		size = write_end(r, r->timeline, o);
	} else if (!o->if_fails || code) {
		size = write_recent(r, o);
	} else if (r->began) {
		fprintf(stderr,
			"urt: the command did not fail: %s is left empty\n",
			o->out);
	}
	recording_free(r);
	errno = size < 0 ? -size : 0;
	if (fclose(r->f) || size < 0)
		return fail("cannot write all of %s: %s; the file ends early",
			    o->out, strerror(errno));
	return code;
}

static int record(const struct options *o)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct recording r = { .pidfd = -1 };
	char why[256];
	int err;

	if (o->pid && (r.pidfd = process_open(o->pid)) < 0)
		return EXIT_BAD;
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	if (o->last)
		sigaction(SIGUSR1, &sa, NULL);
	if (!recording_begin(&r, o))
		return fail("out of memory");
	err = kernel_events_open(&r.kernel, r.held, o->buffer_mb);
	if (err) {
		bpf_explain(err, why, sizeof(why));
		fail("recording needs BPF: %s", why);
	}
	if (!err && recording_open(&r, o))
		return recording_end(&r, o, run(&r, o));
	recording_free(&r);
	return EXIT_BAD;
}

/* False: there is no such user; an error message was printed. */
static bool ok_user(const char *name, struct options *o)
{
	static struct launch_user user;

	if (launch_user_find(name, &user))
		o->user = &user;
	return !name || o->user;
}

#define TO(field) OPTION_TO(struct options, field)

static const struct option_row rows[] = {
	{ OPTION_OUTPUT, TO(out),
	  .text = "Write the timeline to FILE; default: urt.pftrace. An existing file of that name is replaced; a symbolic link is not followed, nor one of another user's on the way to it." },
	{ OPTION_PID, TO(pid), .text = "Record this running process." },
	{ .letter = 'a',
	  .name = "all-cpus",
	  .kind = OPTION_FLAG,
	  TO(all),
	  .text = "Record all processes." },
	{ .name = "duration",
	  .argument = "MS",
	  .kind = OPTION_MS,
	  TO(duration_ns),
	  .min = 1,
	  .max = 1 << 30,
	  .text = "Stop after MS milliseconds." },
	{ .name = "timeout",
	  .argument = "MS",
	  .kind = OPTION_INSTEAD,
	  .text = "use --duration MS" },
	{ .name = "buffer",
	  .argument = "MIB",
	  .kind = OPTION_NUMBER,
	  TO(buffer_mb),
	  .min = 1,
	  .max = 1024,
	  .text = "Use MIB MiB for the buffers between kernel and urt, one for each CPU; default 32. Events that do not fit are dropped, and their number is printed." },
	{ .name = "coroutines",
	  .argument = "N",
	  .kind = OPTION_NUMBER,
	  TO(coroutines),
	  .max = 100000,
	  .text = "Make tracks for at most N coroutines at a time; default 1000. With 0, programs on uring_rt do not trace." },
	{ .name = "sample",
	  .argument = "N",
	  .kind = OPTION_NUMBER,
	  TO(sample),
	  .min = 1,
	  .max = 1 << 30,
	  .text = "Record only one in N requests, with its coroutines and io_uring requests. The program chooses them, and writes no events of the others. A request is the work that coroutines do under one context (urt_context_set)." },
	{ .name = "max-size",
	  .argument = "MIB",
	  .kind = OPTION_NUMBER,
	  TO(max_mb),
	  .min = 1,
	  .max = 1 << 20,
	  .text = "Stop when the file has this size; default 512." },
	{ .name = "last",
	  .argument = "TIME",
	  .kind = OPTION_SECONDS,
	  TO(last),
	  .max = 3600,
	  .text = "Hold the last TIME of events in memory, and write them at the end, at Ctrl-C, and each time that urt gets SIGUSR1." },
	{ .name = "memory",
	  .argument = "MIB",
	  .kind = OPTION_NUMBER,
	  TO(memory_mb),
	  .min = 1,
	  .max = 1 << 16,
	  .text = "Hold at most MIB MiB of events, 8 to 48 bytes each; default 512, with --last 128. Memory is only used when events need it." },
	{ .name = "if-fails",
	  .kind = OPTION_FLAG,
	  TO(if_fails),
	  .text = "With --last: write the events only if the command fails, as `urt stat --assert` does." },
	{ OPTION_USER, TO(user_name) },
};

const struct command command_record = {
	.name = "record",
	.run = cmd_record,
	.what = "record a timeline for ui.perfetto.dev",
	.usage = "[OPTIONS] [-- COMMAND [ARGUMENT ...]]",
	.about =
		"Records switches, wake-ups and io_uring requests of a command and its descendants, of a running process (-p) or of all processes (-a), until the process ends or until Ctrl-C. Open the file in ui.perfetto.dev, or print it with `urt report`. Programs on uring_rt trace meanwhile, so the timeline also shows the activity of their workers and coroutines.",
	.notes =
		"A second Ctrl-C kills a command that does not end.\n\nWhile it records, urt copies events to memory (--memory) and makes the timeline of them in at most a fiftieth of the time, once half of it is full; the rest of the work is done at the end. A server that makes 130,000 requests per second needs some 30 MiB per second. When the memory is nearly full, urt makes the timeline at once, which takes most of a CPU, and events may be dropped; their number is printed.\n\nWith --last, a recording can run for days: its memory is bounded, and it writes only when asked. To record the last seconds before a budget is exceeded: `urt record --last 10s --if-fails -- urt stat --assert EXPR -- COMMAND`; with sudo, add --user root, since `urt stat` needs its privileges.",
	OPTIONS(rows),
	.runs_command = true,
};

int cmd_record(int argc, char **argv)
{
	struct options o = { .out = "urt.pftrace",
			     .buffer_mb = 32,
			     .max_mb = 512,
			     .coroutines = 1000 };
	int first = options_parse(&command_record, argc, argv, &o);

	if (first < 0)
		return EXIT_BAD;
	if (first < argc)
		o.command = argv + first;
	if (!o.memory_mb)
		o.memory_mb = o.last ? 128 : 512;
	if (!o.command && !o.pid && !o.all)
		return fail("record: give a command after --, -p PID or -a");
	if (o.if_fails && (!o.last || !o.command))
		return fail(
			"record: --if-fails needs --last TIME and a command after --");
	if (o.sample && !o.coroutines)
		return fail(
			"record: --sample needs coroutines: give --coroutines a number above 0");
	if (!ok_user(o.user_name, &o))
		return EXIT_BAD;
	return record(&o);
}
