// SPDX-License-Identifier: MIT
/*
 * urt export: what each cgroup or systemd unit asks of the kernel, all the
 * time, for Prometheus: served over HTTP, or written to a directory that the
 * node exporter's textfile collector reads.
 */
#define _GNU_SOURCE
#include "metrics.h"
#include "../lib/tool.h"
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static const char usage_text[] =
	"usage: urt export [OPTIONS]\n"
	"\n"
	"Count context switches, system calls, io_uring requests and waiting of\n"
	"all processes by cgroup, and publish the counts for Prometheus. Needs\n"
	"CAP_BPF and CAP_PERFMON; CAP_SYS_PTRACE for switches in user space of\n"
	"other users' programs on uring_rt.\n"
	"\n"
	"  -l, --listen ADDRESS:PORT\n"
	"                        serve http://ADDRESS:PORT/metrics; default\n"
	"                        127.0.0.1:9750\n"
	"      --textfile DIR    write DIR/urt.prom instead, again and again\n"
	"  -i, --interval S      ... every S seconds; default 15\n"
	"      --once            print the metrics once, after one interval\n"
	"      --by cgroup|unit  one label for each cgroup (default), or for\n"
	"                        each systemd service, scope or slice\n"
	"      --max-groups N    tell N labels apart, count the rest as\n"
	"                        \"other\"; default 200\n"
	"      --max-syscalls N  tell N system calls apart; default 20\n"
	"      --no-times        no histograms of waiting: spares each switch\n"
	"                        and wake-up two looks at the clock\n";

struct export_options {
	struct collector_options counts;
	const char *listen, *textfile;
	long interval_s;
	bool once;
};

enum { OPT_TEXTFILE = 256, OPT_ONCE, OPT_BY, OPT_GROUPS, OPT_CALLS, OPT_TIMES };

static const struct option long_options[] = {
	{ "listen", required_argument, NULL, 'l' },
	{ "textfile", required_argument, NULL, OPT_TEXTFILE },
	{ "interval", required_argument, NULL, 'i' },
	{ "once", no_argument, NULL, OPT_ONCE },
	{ "by", required_argument, NULL, OPT_BY },
	{ "max-groups", required_argument, NULL, OPT_GROUPS },
	{ "max-syscalls", required_argument, NULL, OPT_CALLS },
	{ "no-times", no_argument, NULL, OPT_TIMES },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static bool parse_by(const char *text, bool *by_unit)
{
	*by_unit = !strcmp(text, "unit");
	if (*by_unit || !strcmp(text, "cgroup"))
		return true;
	fail("--by: expected cgroup or unit, not \"%s\"", text);
	return false;
}

static bool option(struct export_options *o, int opt, const char *arg)
{
	long n;

	switch (opt) {
	case 'l':
		o->listen = arg;
		return true;
	case 'i':
		return parse_number("-i", arg, 1, 3600, &o->interval_s);
	case OPT_TEXTFILE:
		o->textfile = arg;
		return true;
	case OPT_ONCE:
		return o->once = true;
	case OPT_BY:
		return parse_by(arg, &o->counts.by_unit);
	case OPT_GROUPS:
		if (!parse_number("--max-groups", arg, 1, EXPORT_GROUPS_MAX,
				  &n))
			return false;
		o->counts.max_groups = n;
		return true;
	case OPT_CALLS:
		if (!parse_number("--max-syscalls", arg, 0, EXPORT_NAMES_MAX,
				  &n))
			return false;
		o->counts.max_calls = n;
		return true;
	case OPT_TIMES:
		return o->counts.no_times = true;
	default:
		fail("`urt export --help` lists the options");
		return false;
	}
}

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
	int opt, code;

	while ((opt = getopt_long(argc, argv, "l:i:h", long_options, NULL)) !=
	       -1) {
		if (opt == 'h') {
			fputs(usage_text, stdout);
			return 0;
		}
		if (!option(&o, opt, optarg))
			return EXIT_BAD;
	}
	if (optind < argc)
		return fail("export: \"%s\" is too much", argv[optind]);
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
