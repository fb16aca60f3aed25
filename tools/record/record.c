// SPDX-License-Identifier: MIT
/*
 * urt record: a timeline of a command, of running processes or of all, for
 * ui.perfetto.dev. The kernel's side is bpf/record.bpf.c; what it puts into the
 * ring buffer is turned into the file at once (timeline.c), so neither side
 * holds more than its fixed size.
 */
#define _GNU_SOURCE
#include "../lib/launch.h"
#include "../lib/output.h"
#include "../lib/privileges.h"
#include "../measure/bpf_setup.h"
#include "record.skel.h"
#include "timeline.h"
#include "../lib/options.h"
#include "../lib/tool.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct options {
	char **command;
	const struct launch_user
		*user; /* the user that the command runs as; NULL: us */
	const char *out, *user_name;
	long pid, duration_ms, buffer_mb, max_mb, coroutines;
	bool all;
};

struct recording {
	struct record_bpf *bpf;
	struct bpf_link *link[24]; /* one for each program */
	unsigned links;
	struct ring_buffer *ring;
	struct urt_event *event; /* taken out of the ring, not written yet */
	unsigned events, events_max;
	struct timeline *timeline;
	struct trace_pages *pages; /* NULL: coroutines are not recorded */
	int64_t ahead_ns; /* of the timeline's clock to CLOCK_MONOTONIC */
	int64_t find_ns;  /* when to look for runs next */
	int pidfd;	  /* of the process given; or -1 */
	bool full;	  /* the file has all that it shall have */
	bool began;	  /* there was something to record */
};

/* How often we were told to stop: the second time, a command that does not end
 * is killed. */
static volatile sig_atomic_t stops;

static void on_signal(int sig)
{
	stops++;
}

/* ---- coroutines ---- */

/* The kernel's programs stamp events by CLOCK_BOOTTIME, runs by _MONOTONIC. */
static int64_t boot_ahead_ns(void)
{
	int64_t best = INT64_MAX, ahead = 0;

	for (int i = 0; i < 9; i++) {
		int64_t before = now_ns(), boot, after;
		struct timespec ts;

		clock_gettime(CLOCK_BOOTTIME, &ts);
		boot = ts.tv_sec * NS_PER_S + ts.tv_nsec;
		after = now_ns();
		if (after - before < best) {
			best = after - before;
			ahead = boot - before - best / 2;
		}
	}
	return ahead;
}

/*
 * Reads the events that the rings have by now. Runs that began are found by
 * looking; those that we launched trace from their first event on, and cannot
 * be missed.
 */
static bool coroutines_read(struct recording *r, const struct options *o)
{
	int64_t now = now_ns();

	if (!r->pages)
		return true;
	trace_pages_find_launched(r->pages);
	if (now >= r->find_ns && o->all)
		trace_pages_find_all(r->pages);
	else if (now >= r->find_ns && o->pid)
		trace_pages_find(r->pages, o->pid);
	if (now >= r->find_ns)
		r->find_ns = now + NS_PER_S / 2;
	return trace_pages_read(r->pages);
}

/* Non-zero: there is no room for more. */
static int on_event(void *arg, void *data, size_t size)
{
	struct recording *r = arg;

	memcpy(&r->event[r->events++], data, sizeof(*r->event));
	return r->events == r->events_max ? -EAGAIN : 0;
}

/* Those of the rings that happened before ns, which is the timeline's. */
static void coroutines_until(struct recording *r, int64_t ns)
{
	struct trace_seen s;

	while (trace_pages_next(r->pages, ns - r->ahead_ns, &s))
		timeline_coroutine(r->timeline, &s, s.ns + r->ahead_ns);
}

/*
 * Writes what the kernel and the rings tell, in one order. The rings are read
 * first, so of the kernel's events those wait that are younger than that.
 */
static void write_events(struct recording *r)
{
	int64_t until = INT64_MAX;
	unsigned i = 0;

	if (r->pages)
		until = trace_pages_moment(r->pages) + r->ahead_ns;
	for (; i < r->events && (int64_t)r->event[i].ns <= until; i++) {
		if (r->pages)
			coroutines_until(r, r->event[i].ns);
		timeline_event(r->timeline, &r->event[i]);
	}
	if (r->pages)
		coroutines_until(r, INT64_MAX);
	r->events -= i;
	memmove(r->event, r->event + i, r->events * sizeof(*r->event));
}

/* ---- the kernel's side ---- */

static void choose(struct record_bpf *bpf, const struct options *o)
{
	const struct bpf_optional optional[] = {
		{ bpf->progs.rec_submit_req, "io_uring_submit_req" },
		{ bpf->progs.rec_submit_sqe, "io_uring_submit_sqe" },
		{ bpf->progs.rec_punt, "io_uring_queue_async_work" },
		{ bpf->progs.rec_complete, "io_uring_complete" },
	};
	size_t bytes = 1 << 20;

	bpf_choose(optional, ARRAY_LEN(optional));
	while (bytes < (size_t)o->buffer_mb << 20)
		bytes *= 2; /* the kernel wants a power of two */
	bpf_map__set_max_entries(bpf->maps.events, bytes);
	bpf->rodata->wake_at = bytes / 4;
	bpf->rodata->ns_inum = pid_namespace();
}

static bool make_room(struct recording *r)
{
	r->events_max =
		bpf_map__max_entries(r->bpf->maps.events) / sizeof(*r->event);
	r->event = calloc(r->events_max, sizeof(*r->event));
	return r->event;
}

static int attach(struct recording *r)
{
	struct bpf_program *p;

	bpf_object__for_each_program(p, r->bpf->obj)
	{
		struct bpf_link *link;

		if (p == r->bpf->progs.rec_find || bpf_program__fd(p) < 0)
			continue;
		if (r->links == ARRAY_LEN(r->link))
			return -E2BIG;
		link = bpf_program__attach(p);
		if (libbpf_get_error(link))
			return (int)libbpf_get_error(link);
		r->link[r->links++] = link;
	}
	return 0;
}

static int find_running(struct recording *r, const struct options *o)
{
	struct bpf_link *link;
	char buf[64];
	int fd;

	r->bpf->bss->attach_tgid = o->pid;
	r->bpf->bss->attach_all = o->all;
	link = bpf_program__attach_iter(r->bpf->progs.rec_find, NULL);
	if (libbpf_get_error(link))
		return (int)libbpf_get_error(link);
	fd = bpf_iter_create(bpf_link__fd(link));
	while (fd >= 0 && read(fd, buf, sizeof(buf)) > 0)
		;
	if (fd >= 0)
		close(fd);
	bpf_link__destroy(link);
	return fd < 0 ? -errno : 0;
}

static int recording_open(struct recording *r, const struct options *o)
{
	int err;

	bpf_setup();
	r->bpf = record_bpf__open();
	if (!r->bpf)
		return -errno;
	choose(r->bpf, o);
	err = record_bpf__load(r->bpf);
	if (err)
		return err;
	if (!make_room(r))
		return -ENOMEM;
	r->ring = ring_buffer__new(bpf_map__fd(r->bpf->maps.events), on_event,
				   r, NULL);
	if (!r->ring)
		return -errno;
	return attach(r);
}

static void recording_close(struct recording *r)
{
	for (unsigned i = 0; i < r->links; i++)
		bpf_link__destroy(r->link[i]);
	ring_buffer__free(r->ring);
	record_bpf__destroy(r->bpf);
	trace_pages_free(r->pages);
	free(r->event);
}

/* ---- recording ---- */

static bool room(struct recording *r, const struct options *o)
{
	int64_t size = timeline_size(r->timeline);

	if (r->full || (size >= 0 && size < (int64_t)o->max_mb << 20))
		return !r->full;
	r->full = true;
	if (size >= 0)
		fprintf(stderr,
			"urt: the file has %ld MiB (--max-size): stopped\n",
			o->max_mb);
	return false;
}

/* All there is by now; false: there may be more already. */
static bool take(struct recording *r, const struct options *o)
{
	bool calm = coroutines_read(r, o);

	if (r->events < r->events_max)
		ring_buffer__consume(r->ring);
	write_events(r);
	return calm && r->events < r->events_max / 2;
}

/* Whether what is recorded has ended: the command, or the process given. */
static bool has_ended(const struct recording *r, pid_t child, int *status)
{
	struct pollfd process = { r->pidfd, POLLIN, 0 };

	if (child)
		return waitpid(child, status, WNOHANG) == child;
	return r->pidfd >= 0 && poll(&process, 1, 0) > 0;
}

/*
 * Until the command ends, the time is over, or we are told to stop. A command
 * that we ask to end continues being recorded until it does.
 */
static int follow(struct recording *r, const struct options *o, pid_t child)
{
	struct pollfd events = { ring_buffer__epoll_fd(r->ring), POLLIN, 0 };
	int64_t end = o->duration_ms ? now_ns() + o->duration_ms * NS_PER_MS
				     : INT64_MAX;
	int status = 0, signal_sent = 0;
	bool calm = true;

	r->began = true;
	while (!has_ended(r, child, &status)) {
		bool over = stops || now_ns() >= end || !room(r, o);
		int wanted = stops > 1 ? SIGKILL : SIGTERM;

		if (over && !child)
			break;
		if (over && signal_sent != wanted && signal_sent != SIGKILL) {
			kill(child, wanted);
			signal_sent = wanted;
		}
		poll(&events, 1, calm ? 20 : 1);
		if (!r->full)
			calm = take(r, o);
	}
	for (int i = 0; i < 2 && !r->full; i++)
		take(r, o);
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
		err = launch_command(&l, o->command, NULL, o->user);
		if (err)
			return fail("cannot start a process: %s",
				    strerror(-err));
	}
	err = o->all || o->pid ? find_running(r, o) : 0;
	if (err)
		return fail("cannot record running processes: %s",
			    strerror(-err));
	privileges_reduce();
	if (r->pages)
		coroutines_read(r, o);
	if (!o->command)
		return follow(r, o, 0);
	if (!o->all && !o->pid)
		r->bpf->bss->start_tgid = l.pid;
	err = launch_go(&l);
	if (!err)
		return follow(r, o, l.pid);
	fail("cannot run \"%s\": %s", o->command[0], strerror(-err));
	return launch_exit_code(err);
}

static bool recording_begin(struct recording *r, FILE *f,
			    const struct options *o)
{
	r->timeline = timeline_new(f, o->coroutines);
	r->ahead_ns = boot_ahead_ns();
	if (o->coroutines)
		r->pages = trace_pages_new();
	return r->timeline && (r->pages || !o->coroutines);
}

/* Prints what the file contains, and what it lacks. */
static int recording_end(struct recording *r, FILE *f, const struct options *o,
			 int code)
{
	struct timeline_lost lost = { r->bpf ? r->bpf->bss->dropped : 0, 0 };
	unsigned runs = 0, missed = 0;
	const char *why = NULL;
	int64_t size;

	if (r->pages) {
		lost.coroutine_events = trace_pages_lost(r->pages);
		runs = trace_pages_runs(r->pages);
		missed = trace_pages_missed(r->pages);
		why = trace_pages_why(r->pages);
	}
	recording_close(r);
	size = timeline_finish(r->timeline, &lost);
	if (fclose(f) || size < 0)
		return fail("cannot write all of %s: %s; the file ends early",
			    o->out, strerror(errno));
	if (!r->began)
		return code;
	fprintf(stderr, "urt: %s: %.1f MiB, %" PRIu64 " events dropped", o->out,
		size / 1048576.0, lost.events);
	if (runs)
		fprintf(stderr,
			", %" PRIu64 " of coroutines overwritten in %u run%s",
			lost.coroutine_events, runs, runs > 1 ? "s" : "");
	if (missed)
		fprintf(stderr, ", %u more not traced", missed);
	if (why)
		fprintf(stderr, " (%s)", why);
	fputc('\n', stderr);
	return code;
}

static int record(const struct options *o)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct recording r = { .pidfd = -1 };
	FILE *f;
	int code, err;

	if (o->pid && (r.pidfd = process_open(o->pid)) < 0)
		return EXIT_BAD;
	f = output_open(o->out);
	if (!f)
		return EXIT_BAD;
	if (!recording_begin(&r, f, o))
		return fail("out of memory");
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	err = recording_open(&r, o);
	if (err)
		code = fail("recording needs BPF: %s (`urt doctor` says how to "
			    "get it)",
			    strerror(-err));
	else
		code = run(&r, o);
	return recording_end(&r, f, o, code);
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
	  .text = "Write the timeline to FILE; default: urt.pftrace. An existing file of that name is replaced; a symbolic link is not followed." },
	{ OPTION_PID, TO(pid), .text = "Record this running process." },
	{ .letter = 'a',
	  .name = "all-cpus",
	  .kind = OPTION_FLAG,
	  TO(all),
	  .text = "Record all processes." },
	{ .name = "duration",
	  .argument = "MS",
	  .kind = OPTION_NUMBER,
	  TO(duration_ms),
	  .min = 1,
	  .max = 1 << 30,
	  .text = "Stop after MS milliseconds." },
	{ .name = "buffer",
	  .argument = "MIB",
	  .kind = OPTION_NUMBER,
	  TO(buffer_mb),
	  .min = 1,
	  .max = 1024,
	  .text = "Size of the buffer between kernel and urt; default 8. Events that find it full are dropped, and their number is printed." },
	{ .name = "coroutines",
	  .argument = "N",
	  .kind = OPTION_NUMBER,
	  TO(coroutines),
	  .max = 100000,
	  .text = "Make tracks for at most N coroutines at a time; default 1000. With 0, programs on uring_rt do not trace." },
	{ .name = "max-size",
	  .argument = "MIB",
	  .kind = OPTION_NUMBER,
	  TO(max_mb),
	  .min = 1,
	  .max = 1 << 20,
	  .text = "Stop when the file has this size; default 512." },
	{ OPTION_USER, TO(user_name) },
};

const struct command command_record = {
	.name = "record",
	.run = cmd_record,
	.what = "record a timeline for ui.perfetto.dev",
	.usage = "[OPTIONS] [-- COMMAND [ARGUMENT ...]]",
	.about =
		"Records switches, wake-ups and io_uring requests of a command and its descendants, of a running process (-p) or of all (-a), until it ends or Ctrl-C. Open the file in ui.perfetto.dev, or read it by `urt report`. Programs on uring_rt trace while this runs: the timeline also shows the activity of their workers and coroutines.",
	.notes = "A second Ctrl-C kills a command that does not end.",
	OPTIONS(rows),
	.runs_command = true,
};

int cmd_record(int argc, char **argv)
{
	struct options o = { .out = "urt.pftrace",
			     .buffer_mb = 8,
			     .max_mb = 512,
			     .coroutines = 1000 };
	int first = options_parse(&command_record, argc, argv, &o);

	if (first < 0)
		return EXIT_BAD;
	if (first < argc)
		o.command = argv + first;
	if (!o.command && !o.pid && !o.all)
		return fail("record: give a command after --, -p PID or -a");
	if (!ok_user(o.user_name, &o))
		return EXIT_BAD;
	return record(&o);
}
