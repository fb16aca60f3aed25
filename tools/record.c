// SPDX-License-Identifier: MIT
/*
 * urt record: a timeline of a command, of running processes or of all, for
 * ui.perfetto.dev. The kernel's side is bpf/record.bpf.c; what it puts into the
 * ring buffer is turned into the file at once (timeline.c), so neither side
 * holds more than its fixed size.
 */
#define _GNU_SOURCE
#include "launch.h"
#include "record.skel.h"
#include "timeline.h"
#include "tool.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct options {
	char **command;
	const char *out;
	long pid, duration_ms, buffer_mb, max_mb;
	bool all;
};

struct recording {
	struct record_bpf *bpf;
	struct bpf_link *link[10];
	unsigned links;
	struct ring_buffer *ring;
	struct timeline *timeline;
	bool began; /* there was something to record */
};

static const char usage_text[] =
	"usage: urt record [OPTIONS] [-- COMMAND [ARGUMENT ...]]\n"
	"\n"
	"Records switches, wake-ups and io_uring requests of a command and what\n"
	"it starts, of a running process (-p) or of all (-a), until it ends or\n"
	"Ctrl-C. Open the file in ui.perfetto.dev, or read it by `urt report`.\n"
	"Kernel threads and requests are recorded; coroutines are not.\n"
	"\n"
	"  -o, --output FILE   default: urt.pftrace\n"
	"  -p, --pid PID       a running process\n"
	"  -a, --all-cpus      all processes\n"
	"      --duration MS   stop after that\n"
	"      --buffer MIB    between kernel and tool; default 8. What finds\n"
	"                      it full is dropped, counted and said\n"
	"      --max-size MIB  of the file; default 512. Then it stops\n";

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	stop = 1;
}

static int silent(enum libbpf_print_level level, const char *format,
		  va_list args)
{
	return getenv("URT_BPF_LOG") ? vfprintf(stderr, format, args) : 0;
}

static int on_event(void *arg, void *data, size_t size)
{
	timeline_event(arg, data);
	return 0;
}

/* ---- the kernel's side ---- */

static void choose(struct record_bpf *bpf, const struct options *o)
{
	struct bpf_program *const optional[] = { bpf->progs.rec_submit_req,
						 bpf->progs.rec_submit_sqe,
						 bpf->progs.rec_punt,
						 bpf->progs.rec_complete };
	static const char *const tracepoint[] = { "io_uring_submit_req",
						  "io_uring_submit_sqe",
						  "io_uring_queue_async_work",
						  "io_uring_complete" };
	size_t bytes = 1 << 20;

	for (unsigned i = 0; i < ARRAY_LEN(optional); i++)
		bpf_program__set_autoload(
			optional[i],
			libbpf_find_vmlinux_btf_id(tracepoint[i],
						   BPF_TRACE_RAW_TP) > 0);
	while (bytes < (size_t)o->buffer_mb << 20)
		bytes *= 2; /* the kernel wants a power of two */
	bpf_map__set_max_entries(bpf->maps.events, bytes);
	bpf->rodata->wake_at = bytes / 4;
}

static int attach(struct recording *r)
{
	struct bpf_program *p;

	bpf_object__for_each_program(p, r->bpf->obj)
	{
		struct bpf_link *link;

		if (p == r->bpf->progs.rec_find || bpf_program__fd(p) < 0)
			continue;
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

	libbpf_set_print(silent);
#if LIBBPF_MAJOR_VERSION == 0
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
#endif
	r->bpf = record_bpf__open();
	if (!r->bpf)
		return -errno;
	choose(r->bpf, o);
	err = record_bpf__load(r->bpf);
	if (err)
		return err;
	r->ring = ring_buffer__new(bpf_map__fd(r->bpf->maps.events), on_event,
				   r->timeline, NULL);
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
}

/* ---- recording ---- */

static bool room(const struct recording *r, const struct options *o)
{
	int64_t size = timeline_size(r->timeline);

	if (size >= 0 && size < (int64_t)o->max_mb << 20)
		return true;
	if (size >= 0)
		fprintf(stderr,
			"urt: the file has %ld MiB (--max-size): stopped\n",
			o->max_mb);
	return false;
}

/* Until the command ends, the time is over, or we are told to stop. */
static int follow(struct recording *r, const struct options *o, pid_t child)
{
	int64_t end = o->duration_ms ? now_ns() + o->duration_ms * NS_PER_MS
				     : INT64_MAX;
	int status = 0;
	bool ended = false;

	r->began = true;
	while (!stop && !ended && now_ns() < end && room(r, o)) {
		ring_buffer__poll(r->ring, 20);
		ring_buffer__consume(r->ring);
		if (child)
			ended = waitpid(child, &status, WNOHANG) == child;
		else if (o->pid)
			ended = kill(o->pid, 0) && errno == ESRCH;
	}
	if (child && !ended) {
		kill(child, SIGTERM);
		waitpid(child, &status, 0);
		status = 0;
	}
	while (ring_buffer__consume(r->ring) > 0 && room(r, o))
		;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
				   : WEXITSTATUS(status);
}

static int run(struct recording *r, const struct options *o)
{
	struct launch l = { 0 };
	int err;

	if (!o->command) {
		err = find_running(r, o);
		return err ? fail("cannot record what is running: %s",
				  strerror(-err))
			   : follow(r, o, 0);
	}
	err = launch(&l, o->command, NULL, -1, -1);
	if (err)
		return fail("cannot start a process: %s", strerror(-err));
	if (o->all || o->pid)
		err = find_running(r, o);
	else
		r->bpf->bss->start_tgid = l.pid;
	if (!err)
		err = launch_go(&l);
	return err ? fail("cannot run \"%s\": %s", o->command[0],
			  strerror(-err))
		   : follow(r, o, l.pid);
}

static int record(const struct options *o)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct recording r = { 0 };
	FILE *f = fopen(o->out, "we");
	uint64_t dropped;
	int64_t size;
	int code, err;

	if (!f)
		return fail("cannot write %s: %s", o->out, strerror(errno));
	r.timeline = timeline_new(f);
	if (!r.timeline)
		return fail("out of memory");
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	err = recording_open(&r, o);
	if (err)
		code = fail("recording needs BPF: %s (`urt doctor` says how to "
			    "get it)",
			    strerror(-err));
	else
		code = run(&r, o);
	dropped = err ? 0 : r.bpf->bss->dropped;
	recording_close(&r);
	size = timeline_finish(r.timeline, dropped);
	if (fclose(f) || size < 0)
		return fail("cannot write all of %s: %s; what fits is there",
			    o->out, strerror(errno));
	if (r.began)
		fprintf(stderr, "urt: %s: %.1f MiB, %llu events dropped\n",
			o->out, size / 1048576.0, (unsigned long long)dropped);
	return code;
}

int cmd_record(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "output", required_argument, NULL, 'o' },
		{ "pid", required_argument, NULL, 'p' },
		{ "all-cpus", no_argument, NULL, 'a' },
		{ "duration", required_argument, NULL, 'd' },
		{ "buffer", required_argument, NULL, 'b' },
		{ "max-size", required_argument, NULL, 'm' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct options o = { .out = "urt.pftrace",
			     .buffer_mb = 8,
			     .max_mb = 512 };
	bool ok = true;
	int opt;

	while (ok &&
	       (opt = getopt_long(argc, argv, "+o:p:ah", longs, NULL)) != -1) {
		if (opt == 'h') {
			fputs(usage_text, stdout);
			return 0;
		}
		if (opt == 'o')
			o.out = optarg;
		else if (opt == 'a')
			o.all = true;
		else if (opt == 'p')
			ok = parse_number("-p", optarg, 1, 1 << 22, &o.pid);
		else if (opt == 'd')
			ok = parse_number("--duration", optarg, 1, 1 << 30,
					  &o.duration_ms);
		else if (opt == 'b')
			ok = parse_number("--buffer", optarg, 1, 1024,
					  &o.buffer_mb);
		else if (opt == 'm')
			ok = parse_number("--max-size", optarg, 1, 1 << 20,
					  &o.max_mb);
		else
			return fail("`urt record --help` lists the options");
	}
	if (!ok)
		return EXIT_BAD;
	if (optind < argc)
		o.command = argv + optind;
	if (!o.command && !o.pid && !o.all)
		return fail("record: give a command after --, -p PID or -a");
	if (o.pid && kill(o.pid, 0) && errno == ESRCH)
		return fail("no process has the PID %ld", o.pid);
	return record(&o);
}
