// SPDX-License-Identifier: MIT
/*
 * urt export: what each cgroup or systemd unit asks of the kernel, all the
 * time, for Prometheus: served over HTTP, or written to a directory that the
 * node exporter's textfile collector reads.
 */
#define _GNU_SOURCE
#include "metrics.h"
#include "../lib/options.h"
#include "../lib/output.h"
#include "../lib/privileges.h"
#include "../lib/tool.h"
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

struct export_options {
	struct collector_options counts;
	const char *listen, *textfile;
	double interval_s;
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
	  .text = "Write DIR/urt.prom instead, every --interval, for the textfile collector of Prometheus's node exporter; root writes as the owner of DIR." },
	{ .letter = 'i',
	  .name = "interval",
	  .argument = "S",
	  .kind = OPTION_SECONDS,
	  TO(interval_s),
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
	  .text = "Use at most N labels and count the rest as \"other\"; default 200." },
	{ .name = "max-syscalls",
	  .argument = "N",
	  .kind = OPTION_NUMBER,
	  TO(counts.max_calls),
	  .max = EXPORT_NAMES_MAX,
	  .text = "Use at most N labels for system calls; default 20." },
	{ .name = "no-times",
	  .kind = OPTION_FLAG,
	  TO(counts.no_times),
	  .text = "Make no histograms of waiting, which saves two readings of the clock per switch and wake-up." },
};

const struct command command_export = {
	.name = "export",
	.run = cmd_export,
	.what = "publish metrics for Prometheus, by cgroup or unit",
	.usage = "[OPTIONS]",
	.about =
		"Counts context switches, system calls, io_uring requests and waiting of all processes by cgroup, and publishes the counts for Prometheus. Needs CAP_BPF and CAP_PERFMON; CAP_SYS_PTRACE for switches in user space of other users' programs on uring_rt. urt gives up all other privileges as soon as it counts.",
	OPTIONS(rows),
};

/*
 * Opens the directory as its owner. The owner could make root write anywhere,
 * by names in the directory, but an ordinary user only where that user may
 * write anyway. Capabilities are kept until privileges_reduce. -1: an error
 * message was printed.
 */
static int open_directory(const char *path)
{
	const char *why = NULL;
	int fd = output_directory(path, &why);
	struct stat st;

	if (fd < 0 || fstat(fd, &st)) {
		fail("--textfile: cannot write to %s: %s", path,
		     why ? why : strerror(fd < 0 ? -fd : errno));
		return -1;
	}
	if (!geteuid() && st.st_uid &&
	    (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) || setgroups(0, NULL) ||
	     setresgid(st.st_gid, st.st_gid, st.st_gid) ||
	     setresuid(st.st_uid, st.st_uid, st.st_uid))) {
		fail("--textfile: cannot become the owner of %s: %s", path,
		     strerror(errno));
		return -1;
	}
	return fd;
}

/* A reader never sees half a file, and can read the file under any umask. */
static bool write_file(int dir, struct collector *c)
{
	static const char name[] = "urt.prom";
	char new[OUTPUT_NEW];
	FILE *f = output_begin(dir, new);
	int err = f ? 0 : -errno;

	if (f) {
		fchmod(fileno(f), 0644);
		metrics_write(f, c, false);
		err = output_replace(f, dir, new, name);
	}
	return !err ||
	       !fail("--textfile: cannot write %s: %s", name, strerror(-err));
}

/* Sleeps until a signal comes; true: for the whole time. */
static bool wait_for(double seconds, const sigset_t *set)
{
	int64_t ns = seconds * NS_PER_S;
	struct timespec ts = { ns / NS_PER_S, ns % NS_PER_S };

	return sigtimedwait(set, NULL, &ts) < 0 && errno == EAGAIN;
}

/* dir: of --textfile, or -1. */
static int write_files(const struct export_options *o, int dir,
		       struct collector *c)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	privileges_reduce();
	while (wait_for(o->interval_s, &set) && !o->once)
		if (!write_file(dir, c))
			return EXIT_BAD;
	if (!o->once) /* the counts until then */
		return write_file(dir, c) ? 0 : EXIT_BAD;
	metrics_write(stdout, c, true);
	return output_flush(stdout, NULL);
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
	int first = options_parse(&command_export, argc, argv, &o);
	int dir = -1, code = EXIT_BAD;

	if (first < 0)
		return EXIT_BAD;
	if (first < argc)
		return fail("export: unexpected argument \"%s\"", argv[first]);
	if (o.textfile && access(o.textfile, R_OK | W_OK | X_OK))
		return fail("--textfile: cannot write to %s: %s", o.textfile,
			    strerror(errno));
	c = collector_open(&o.counts, why, sizeof(why));
	if (!c)
		return fail("export: %s", why);
	if (!o.textfile && !o.once)
		code = http_serve(o.listen, c);
	else if (!o.textfile || (dir = open_directory(o.textfile)) >= 0)
		code = write_files(&o, dir, c);
	collector_close(c);
	return code;
}
