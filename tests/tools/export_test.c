// SPDX-License-Identifier: MIT
/*
 * `urt export`: exact counts by cgroup, bounds, formats, clients, the file's owner.
 * URT_EXPORT_ROUNDS=n makes the test with cgroups that come and go n rounds long, of
 * 1,000 cgroups each (240 are those of an hour, read every 15 s), and has the
 * distribution's prometheus read.
 */
#define _GNU_SOURCE
#include "../lib/test.h"
#include "../lib/cgroups.h"
#include "../lib/json_tree.h"
#include "../lib/service.h"
#include "../lib/tool_run.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static pid_t exporter;
static int port;

static int get(const char *path, const char *accept)
{
	return sh("curl -s -H 'Accept: %s' -w '%%{http_code}' "
		  "http://127.0.0.1:%d%s",
		  accept, port, path);
}

static void export_start(const char *options)
{
	char command[512];

	port = net_free_port();
	snprintf(command, sizeof(command),
		 "exec ./urt export --listen 127.0.0.1:%d %s 2>export.log",
		 port, options);
	exporter = fork();
	ck_assert_int_ge(exporter, 0);
	if (!exporter) {
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	while (sh("curl -s -o /dev/null http://127.0.0.1:%d/", port))
		ck_assert_msg(waitpid(exporter, NULL, WNOHANG) == 0,
			      "urt export ended");
	/* At the first look, the most frequent calls get their names. */
	ck_assert_int_eq(sh("tests/probe rare 5000"), 0);
}

static void export_stop(void)
{
	int status;

	kill(exporter, SIGTERM);
	ck_assert_int_eq(waitpid(exporter, &status, 0), exporter);
	ck_assert(WIFEXITED(status) && !WEXITSTATUS(status));
}

/* The number after that series in text; -1: missing. */
static long long series(const char *format, ...)
{
	char name[256];
	const char *p;
	va_list ap;

	va_start(ap, format);
	vsnprintf(name, sizeof(name), format, ap);
	va_end(ap);
	p = strstr(text, name);
	return p ? atoll(p + strlen(name)) : -1;
}

/* The rare calls of cgroups without a label. */
static long long other_calls(void)
{
	long long calls;

	ck_assert_int_eq(get("/metrics", "text/plain"), 0);
	calls = series(
		"urt_system_calls_total{cgroup=\"other\",name=\"" RARE_CALL
		"\"}");
	return calls < 0 ? 0 : calls;
}

#define NEED_EXPORT()                                                    \
	do {                                                             \
		NEED_BPF();                                              \
		if (!have_cgroups())                                     \
			SKIP("no cgroup2 mount that can be written to"); \
		if (sh("curl --version 2>&1"))                           \
			SKIP("no curl here");                            \
		whole_host();                                            \
	} while (0)

START_TEST(export_counts_each_cgroup_exactly)
{
	NEED_EXPORT();
	export_start("--max-syscalls 64");
	ck_assert_int_eq(sh("mkdir -p %s/urt-a %s/urt-b && "
			    "(echo 0 >%s/urt-a/cgroup.procs && "
			    "exec tests/probe rare 1000) && "
			    "(echo 0 >%s/urt-b/cgroup.procs && "
			    "exec tests/probe rare 50)",
			    cgroup_mount, cgroup_mount, cgroup_mount,
			    cgroup_mount),
			 0);
	ck_assert_int_eq(get("/metrics", "text/plain"), 0);
	ck_assert_int_eq(series("urt_system_calls_total{cgroup=\"/urt-a\","
				"name=\"" RARE_CALL "\"}"),
			 1000);
	ck_assert_int_eq(series("urt_system_calls_total{cgroup=\"/urt-b\","
				"name=\"" RARE_CALL "\"}"),
			 50);
	ck_assert_int_ge(series("process_context_switches_total{cgroup=\""
				"/urt-a\",process_context_switch_type="
				"\"voluntary\"}"),
			 1);
	/* When a cgroup is removed, its series ends. */
	ck_assert_int_eq(sh("rmdir %s/urt-a", cgroup_mount), 0);
	ck_assert_int_eq(get("/metrics", "text/plain"), 0);
	ck_assert_ptr_null(strstr(text, "\"/urt-a\""));
	ck_assert_ptr_nonnull(strstr(text, "\"/urt-b\""));
	export_stop();
	sh("rmdir %s/urt-b", cgroup_mount);
}
END_TEST

/* Completions that find the queue full, and requests that are refused. */
static const struct {
	const char *way, *op, *outcome;
} rings[] = {
	{ "overflow", "NOP", "success" },
	{ "unknown-flags", "NOP", "error" },
	{ "unknown-opcode", "other", "error" },
};

START_TEST(export_counts_each_request_and_completion)
{
	NEED_EXPORT();
	if (sh("tests/rings %s 1", rings[_i].way) == 77)
		SKIP("no io_uring here");
	export_start("--no-times");
	ck_assert_int_eq(sh("mkdir -p %s/urt-a && "
			    "(echo 0 >%s/urt-a/cgroup.procs && "
			    "exec tests/rings %s 100)",
			    cgroup_mount, cgroup_mount, rings[_i].way),
			 0);
	ck_assert_int_eq(get("/metrics", "text/plain"), 0);
	ck_assert_int_eq(series("urt_io_uring_requests_total{cgroup=\"/urt-a\","
				"opcode=\"%s\"}",
				rings[_i].op),
			 100);
	ck_assert_int_eq(series("urt_io_uring_completions_total{cgroup=\""
				"/urt-a\",outcome=\"%s\"}",
				rings[_i].outcome),
			 100);
	export_stop();
	sh("rmdir %s/urt-a", cgroup_mount);
}
END_TEST

START_TEST(export_bounds_its_series_and_loses_nothing)
{
	long long before, other;

	NEED_EXPORT();
	export_start("--max-groups 3 --max-syscalls 64 --no-times");
	before = other_calls();
	/* Short-lived between two reads: counted, without a name. */
	ck_assert_int_eq(
		sh("for i in $(seq 20); do g=%s/urt-short-$i; mkdir $g && "
		   "(echo 0 >$g/cgroup.procs && exec tests/probe rare 10) && "
		   "rmdir $g || exit 1; done",
		   cgroup_mount),
		0);
	other = other_calls();
	ck_assert_int_eq(other, before + 200);
	ck_assert_ptr_null(strstr(text, "urt_off_cpu_seconds"));
	ck_assert_int_eq(
		sh("for i in $(seq 20); do g=%s/urt-long-$i; mkdir $g && "
		   "(echo 0 >$g/cgroup.procs && exec tests/probe rare 10) || "
		   "exit 1; done",
		   cgroup_mount),
		0);
	ck_assert_int_ge(other_calls(), other + 10 * 17);
	ck_assert_int_le(series("\nurt_export_cgroups"), 4);
	sh("rmdir %s/urt-long-*", cgroup_mount);
	export_stop();
}
END_TEST

/* ---- cgroups that come and go ---- */

static long resident_kib(void)
{
	char path[64];
	long pages = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/statm", exporter);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fscanf(f, "%*d %ld", &pages), 1);
	fclose(f);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Half of them are removed before a read, and half after it. */
START_TEST(cgroups_that_come_and_go_leave_nothing_behind)
{
	const char *more = getenv("URT_EXPORT_ROUNDS");
	unsigned rounds = more ? atoi(more) : 4, half = more ? 500 : 40;
	long before = 0, after;
	long long other, now;
	size_t longest = 0;

	NEED_EXPORT();
	sh("rmdir %s/urt-churn-* 2>&1", cgroup_mount);
	export_start("--max-groups 20 --max-syscalls 64");
	other = other_calls();
	for (unsigned round = 0; round < rounds; round++) {
		for (unsigned i = 0; i < half; i++)
			test_group_make(round, i);
		for (unsigned i = 0; i < half; i++)
			test_group_remove(round, i);
		for (unsigned i = 0; i < half; i++)
			test_group_make(round, i);
		now = other_calls();
		/* All of one half; of the other half, those without a label. */
		ck_assert_int_ge(now, other + 3 * (half + half - 20));
		ck_assert_int_le(now, other + 3 * (half + half));
		other = now;
		/* Labels of removed cgroups are free at once. */
		ck_assert_int_eq(series("\nurt_export_cgroups"), 21);
		longest = strlen(text) > longest ? strlen(text) : longest;
		for (unsigned i = 0; i < half; i++)
			test_group_remove(round, i);
		if (round == 2)
			before = resident_kib();
	}
	after = resident_kib();
	export_stop();
	if (more)
		fprintf(stderr,
			"%u rounds of %u cgroups: %ld KiB, then %ld KiB; at "
			"most %zu bytes a read\n",
			rounds, 2 * half, before, after, longest);
	if (!SANITIZED) /* a sanitizer's allocator keeps freed memory */
		ck_assert_int_le(after, before + 512);
}
END_TEST

/* A cgroup gets a label of its own when another one has been removed. */
START_TEST(other_never_goes_back)
{
	long long other[3];
	int own;

	NEED_EXPORT();
	sh("rmdir %s/urt-churn-* 2>&1", cgroup_mount);
	/* The root's label and two more. */
	export_start("--max-groups 3 --max-syscalls 64");
	for (unsigned i = 0; i < 8; i++)
		test_group_make(0, i);
	other[0] = other_calls();
	ck_assert_int_ge(other[0], 3 * 5);
	for (unsigned i = 0; i < 8; i++)
		if (series("{cgroup=\"/urt-churn-0-%u\",name=\"" RARE_CALL
			   "\"}",
			   i) == 3) {
			test_group_remove(0, i);
		}
	/* The counts of these are not in "other"; the counts of the rest stay
	 * there. */
	other[1] = other_calls();
	ck_assert_int_eq(other[1], other[0]);
	ck_assert_int_eq(sh("for g in %s/urt-churn-0-*; do "
			    "(echo 0 >$g/cgroup.procs && "
			    "exec tests/probe rare 10) || exit 1; done",
			    cgroup_mount),
			 0);
	other[2] = other_calls();
	own = 0;
	for (unsigned i = 0; i < 8; i++)
		own += series("{cgroup=\"/urt-churn-0-%u\",name=\"" RARE_CALL
			      "\"}",
			      i) == 10;
	ck_assert_int_ge(other[2], other[1]);
	ck_assert_int_eq((other[2] - other[1]) % 10, 0);
	/* Those without a label before begin with their later counts. */
	ck_assert_int_le(own, 3);
	sh("rmdir %s/urt-churn-0-*", cgroup_mount);
	export_stop();
}
END_TEST

/* ---- formats ---- */

START_TEST(dashboard_shows_only_series_that_are_exported)
{
	NEED_EXPORT();
	ck_assert_int_eq(
		sh("./urt export --once -i 1 >once.out && "
		   "for name in $(grep -o '\\(urt\\|process\\)_[a-z_]*' "
		   "../../tools/export/dashboard.json | "
		   "grep -v '^process_context_switch_type$' | sort -u); do "
		   "grep -q -e \"^# TYPE ${name%%_total} \" -e \"^# TYPE "
		   "${name%%_*} histogram\" once.out || echo \"$name\"; done; "
		   "rm once.out"),
		0);
	ck_assert_str_eq(text, "");
}
END_TEST

/* A second between two scrapes; what its query language then finds. */
START_TEST(prometheus_scrapes_all_series)
{
	int at = net_free_port(), tries = 0;

	NEED_EXPORT();
	if (!getenv("URT_EXPORT_ROUNDS") || sh("prometheus --version 2>&1"))
		SKIP("needs prometheus and URT_EXPORT_ROUNDS: it takes 10 s");
	export_start("");
	ck_assert_int_eq(
		sh("rm -rf tsdb && mkdir tsdb && printf 'global: "
		   "{scrape_interval: 1s}\nscrape_configs:\n- job_name: urt\n"
		   "  static_configs: [{targets: [\"127.0.0.1:%d\"]}]\n' "
		   ">tsdb/config && { exec prometheus --config.file=tsdb/config "
		   "--storage.tsdb.path=tsdb --web.listen-address=127.0.0.1:%d "
		   ">tsdb/log 2>&1 & } && echo $! >tsdb/pid",
		   port, at),
		0);
	do
		ck_assert_int_eq(
			sh("kill -0 $(cat tsdb/pid) && "
			   "curl -s -G http://127.0.0.1:%d/api/v1/query "
			   "--data-urlencode 'query=count(rate("
			   "process_context_switches_total[30s])) and on() "
			   "up{job=\"urt\"} == 1' || true",
			   at),
			0);
	while (!member(document(), "value") && tries++ < 600);
	ck_assert_msg(member(document(), "value"), "%s", text);
	ck_assert_int_eq(
		sh("curl -s -G http://127.0.0.1:%d/api/v1/query "
		   "--data-urlencode 'query=histogram_quantile(0.99, sum by "
		   "(le) (rate(urt_run_queue_seconds_bucket[30s]))) > 0'; "
		   "kill $(cat tsdb/pid)",
		   at),
		0);
	ck_assert_msg(member(document(), "value"), "%s", text);
	export_stop();
	sh("while kill -0 $(cat tsdb/pid) 2>/dev/null; do sleep 0.1; done; "
	   "rm -rf tsdb");
}
END_TEST

START_TEST(unit_is_confined)
{
	if (sh("systemd-analyze --version 2>&1"))
		SKIP("systemd-analyze is not installed");
	sh("systemd-analyze security --offline=true --threshold=19 "
	   "../../tools/export/urt-export.service 2>&1");
	ck_assert_msg(strstr(text, "urt-export.service: 1."), "%s", text);
}
END_TEST

START_TEST(export_writes_what_prometheus_reads)
{
	NEED_EXPORT();
	export_start("");
	ck_assert_int_eq(get("/metrics", "application/openmetrics-text"), 0);
	ck_assert_ptr_nonnull(strstr(text, "\n# EOF\n200"));
	ck_assert_ptr_nonnull(
		strstr(text, "# TYPE process_context_switches counter"));
	ck_assert_int_eq(get("/metrics", "text/plain"), 0);
	ck_assert_ptr_null(strstr(text, "# EOF"));
	ck_assert_ptr_nonnull(
		strstr(text, "# TYPE process_context_switches_total counter"));
	if (sh("promtool --version 2>&1"))
		fprintf(stderr, "SKIP promtool check: it is not installed\n");
	else
		ck_assert_msg(!sh("curl -s http://127.0.0.1:%d/metrics | "
				  "promtool check metrics 2>&1",
				  port),
			      "%s", text);
	export_stop();
}
END_TEST

START_TEST(export_is_not_held_up_by_a_client)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int fd[20]; /* more than it serves at a time */

	NEED_EXPORT();
	export_start("--no-times");
	addr.sin_port = htons(port);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (unsigned i = 0; i < ARRAY_LEN(fd); i++) {
		fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		ck_assert_int_eq(connect(fd[i], (void *)&addr, sizeof(addr)),
				 0);
		ck_assert_int_eq(write(fd[i], "GET /met", 8), 8);
	}
	ck_assert_int_eq(get("/metrics", "text/plain"), 0);
	ck_assert_int_eq(get("/nothing", "text/plain"), 0);
	ck_assert_ptr_nonnull(strstr(text, "404"));
	/* Much data follows the answer, and no reset destroys the answer. */
	ck_assert_int_eq(sh("head -c 8000000 /dev/zero | curl -s -H Expect: "
			    "--data-binary @- -w '%%{http_code}' "
			    "http://127.0.0.1:%d/metrics",
			    port),
			 0);
	ck_assert_ptr_nonnull(strstr(text, "405"));
	for (unsigned i = 0; i < ARRAY_LEN(fd); i++)
		close(fd[i]);
	export_stop();
}
END_TEST

START_TEST(export_refuses_what_it_cannot_do)
{
	refuses("./urt export --listen nowhere", "expected ADDRESS:PORT");
	refuses("./urt export --by name", "expected one of cgroup, unit");
	refuses("./urt export --textfile /no/such", "cannot write to");
	refuses("./urt export surplus", "unexpected argument");
	NEED_BPF();
	refuses("./urt export --listen 192.0.2.1:1", "cannot listen");
	ck_assert_int_eq(sh("rm -rf prom && mkdir prom && "
			    "{ ./urt export --textfile prom -i 1 & } && "
			    "until test -s prom/urt.prom; do :; done; "
			    "kill $!; wait $! && ls -A prom"),
			 0);
	ck_assert_str_eq(text, "urt.prom\n");
}
END_TEST

/* ---- --textfile ---- */

/* The file's owner and readers, after the process has lost all capabilities
 * except these. */
static void writes_as(const char *how, const char *user,
		      const char *capabilities)
{
	ck_assert_int_eq(
		sh("d=$(mktemp -d /tmp/urt-export.XXXXXX) && cp urt $d/ && "
		   "mkdir $d/prom && chown %s:%s $d/prom && chmod 755 $d && "
		   "{ (umask 077; exec %s $d/urt export --textfile $d/prom "
		   "2>&1) & } && "
		   "until grep -q '^CapEff:.*%s$' /proc/$!/status; do "
		   "kill -0 $! || exit 9; done; "
		   "awk '/^Uid:/ { print $2, $3, $4, $5 }' /proc/$!/status; "
		   "kill $! && wait $! && stat -c '%%u %%a' $d/prom/urt.prom && "
		   "ls -A $d/prom && tail -n 1 $d/prom/urt.prom && rm -r $d",
		   user, user, how, capabilities),
		0);
}

START_TEST(textfile_is_written_by_an_ordinary_user)
{
	NEED_EXPORT();
	if (geteuid() || sh("command -v setpriv"))
		SKIP("setpriv and root are needed to become another user");
	/* As the unit starts it, with User= and AmbientCapabilities=. */
	writes_as("setpriv --reuid 65534 --regid 65534 --clear-groups "
		  "--inh-caps=-all,+bpf,+perfmon,+sys_ptrace "
		  "--ambient-caps=-all,+bpf,+perfmon,+sys_ptrace",
		  "65534", "0000000000080000");
	ck_assert_ptr_nonnull(strstr(text, "65534 65534 65534 65534\n"
					   "65534 644\nurt.prom\n"
					   "urt_export_scrape_seconds "));
	/* As root: urt becomes the directory's owner. */
	writes_as("", "65533", "0000010000080024");
	ck_assert_ptr_nonnull(strstr(text, "65533 65533 65533 65533\n"
					   "65533 644\nurt.prom\n"
					   "urt_export_scrape_seconds "));
	/* In its own directory, it writes as root without root's power. */
	writes_as("", "0", "0000010000080024");
	ck_assert_ptr_nonnull(strstr(text, "0 0 0 0\n0 644\nurt.prom\n"));
}
END_TEST

/* What a reader has opened stays as it was, and the name is never without a file. */
START_TEST(textfile_is_replaced_and_not_rewritten)
{
	NEED_EXPORT();
	ck_assert_int_eq(sh("rm -rf prom && mkdir prom && "
			    "echo old >prom/urt.prom && "
			    "exec 3<prom/urt.prom && "
			    "{ ./urt export --textfile prom -i 1 3<&- & } && "
			    "until ! grep -q old prom/urt.prom; do :; done; "
			    "cat <&3; kill $!; wait $! && ls -A prom && "
			    "rm -r prom"),
			 0);
	ck_assert_str_eq(text, "old\nurt.prom\n");
}
END_TEST

Suite *export_suite(void)
{
	Suite *s = suite_create("export");
	TCase *t = tcase_create("export");

	tcase_set_timeout(t, getenv("URT_EXPORT_ROUNDS") ? 3600 : 120);
	tcase_add_test(t, export_counts_each_cgroup_exactly);
	tcase_add_loop_test(t, export_counts_each_request_and_completion, 0,
			    ARRAY_LEN(rings));
	tcase_add_test(t, export_bounds_its_series_and_loses_nothing);
	tcase_add_test(t, cgroups_that_come_and_go_leave_nothing_behind);
	tcase_add_test(t, other_never_goes_back);
	tcase_add_test(t, dashboard_shows_only_series_that_are_exported);
	tcase_add_test(t, prometheus_scrapes_all_series);
	tcase_add_test(t, unit_is_confined);
	tcase_add_test(t, export_writes_what_prometheus_reads);
	tcase_add_test(t, export_is_not_held_up_by_a_client);
	tcase_add_test(t, export_refuses_what_it_cannot_do);
	tcase_add_test(t, textfile_is_written_by_an_ordinary_user);
	tcase_add_test(t, textfile_is_replaced_and_not_rewritten);
	suite_add_tcase(s, t);
	return s;
}
