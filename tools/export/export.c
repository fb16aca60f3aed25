// SPDX-License-Identifier: MIT
/*
 * urt export: what each cgroup or systemd unit asks of the kernel, all the
 * time, for Prometheus: served over HTTP, or written to a directory that the
 * node exporter's textfile collector reads.
 */
#define _GNU_SOURCE
#include "metrics.h"
#include "../lib/options.h"
#include "../lib/tool.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

struct export_options {
	struct collector_options counts;
	const char *listen, *textfile;
	long interval_s;
	bool once;
};

#define TO(field) OPTION_TO(struct export_options, field)

static const char *const labels[] = { "cgroup", "unit", NULL };

static const struct option_row rows[] = {
	{ .letter = 'l',
	  .name = "listen",
	  .argument = "ADDRESS:PORT",
	  .kind = OPTION_TEXT,
	  TO(listen),
	  .text = "Serve http://ADDRESS:PORT/metrics; default 127.0.0.1:9750." },
	{ .name = "textfile",
	  .argument = "DIR",
	  .kind = OPTION_TEXT,
	  TO(textfile),
	  .text = "Write DIR/urt.prom instead, every --interval." },
	{ .letter = 'i',
	  .name = "interval",
	  .argument = "S",
	  .kind = OPTION_NUMBER,
	  TO(interval_s),
	  .min = 1,
	  .max = 3600,
	  .text = "Write the file every S seconds; default 15." },
	{ .name = "once",
	  .kind = OPTION_FLAG,
	  TO(once),
	  .text = "Print the metrics once, after one interval." },
	{ .name = "by",
	  .argument = "WHAT",
	  .kind = OPTION_CHOICE,
	  TO(counts.label),
	  .choices = labels,
	  .text = "Make one label for each cgroup (default), or for each systemd service, scope or slice: unit." },
	{ .name = "max-groups",
	  .argument = "N",
	  .kind = OPTION_NUMBER,
	  TO(counts.max_groups),
	  .min = 1,
	  .max = EXPORT_GROUPS_MAX,
	  .text = "Tell N labels apart and count the rest as \"other\"; default 200." },
	{ .name = "max-syscalls",
	  .argument = "N",
	  .kind = OPTION_NUMBER,
	  TO(counts.max_calls),
	  .max = EXPORT_NAMES_MAX,
	  .text = "Tell N system calls apart; default 20." },
	{ .name = "no-times",
	  .kind = OPTION_FLAG,
	  TO(counts.no_times),
	  .text = "Make no histograms of waiting: spares each switch and wake-up two readings of the clock." },
};

const struct command command_export = {
	.name = "export",
	.run = cmd_export,
	.what = "publish metrics for Prometheus, by cgroup or unit",
	.usage = "[OPTIONS]",
	.about =
		"Counts context switches, system calls, io_uring requests and waiting of all processes by cgroup, and publishes the counts for Prometheus. Needs CAP_BPF and CAP_PERFMON; CAP_SYS_PTRACE for switches in user space of other users' programs on uring_rt.",
	OPTIONS(rows),
};

/* A reader never sees half a file. */
static bool write_file(const char *dir, struct collector *c)
{
	char path[4096], tmp[4096];
	FILE *f;
	bool ok;

	snprintf(path, sizeof(path), "%.4000s/urt.prom", dir);
	snprintf(tmp, sizeof(tmp), "%.4000s/.urt.prom.%d", dir, getpid());
	unlink(tmp);
	f = fopen(tmp, "wxe");
	if (!f) {
		fail("--textfile: cannot write %s: %s", tmp, strerror(errno));
		return false;
	}
	metrics_write(f, c, false);
	ok = !ferror(f);
	ok &= !fclose(f);
	if (ok && !rename(tmp, path))
		return true;
	fail("--textfile: cannot write %s: %s", path, strerror(errno));
	unlink(tmp);
	return false;
}

/* Until a signal comes; true: for the whole time. */
static bool wait_for(long seconds, const sigset_t *set)
{
	struct timespec ts = { .tv_sec = seconds };

	return sigtimedwait(set, NULL, &ts) < 0 && errno == EAGAIN;
}

static int write_files(const struct export_options *o, struct collector *c)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	while (wait_for(o->interval_s, &set) && !o->once)
		if (!write_file(o->textfile, c))
			return EXIT_BAD;
	if (!o->once) /* what was counted until then */
		return write_file(o->textfile, c) ? 0 : EXIT_BAD;
	metrics_write(stdout, c, true);
	return fflush(stdout) ? fail("cannot write the metrics") : 0;
}

int cmd_export(int argc, char **argv)
{
	struct export_options o = {
		.counts = { .max_groups = 200, .max_calls = 20 },
		.listen = "127.0.0.1:9750",
		.interval_s = 15,
	};
	struct collector *c;
	char why[256];
	int first = options_parse(&command_export, argc, argv, &o), code;

	if (first < 0)
		return EXIT_BAD;
	if (first < argc)
		return fail("export: unexpected argument \"%s\"", argv[first]);
	if (o.textfile && access(o.textfile, W_OK | X_OK))
		return fail("--textfile: cannot write to %s: %s", o.textfile,
			    strerror(errno));
	c = collector_open(&o.counts, why, sizeof(why));
	if (!c)
		return fail("export: %s", why);
	code = o.textfile || o.once ? write_files(&o, c)
				    : http_serve(o.listen, c);
	collector_close(c);
	return code;
}
