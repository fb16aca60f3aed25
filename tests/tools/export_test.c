// SPDX-License-Identifier: MIT
/* `urt export`: exact counts by cgroup, bounds, formats, clients. */
#define _GNU_SOURCE
#include "../lib/test.h"
#include "../lib/service.h"
#include "../lib/tool_run.h"
#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static char mount[64]; /* of cgroup2 */
static pid_t exporter;
static int port;

/* False: none is there, or none that can be written to. */
static bool have_cgroups(void)
{
	static const char *const at[] = { "/sys/fs/cgroup",
					  "/sys/fs/cgroup/unified" };
	char path[80];

	for (unsigned i = 0; i < ARRAY_LEN(at); i++) {
		snprintf(path, sizeof(path), "%s/cgroup.procs", at[i]);
		snprintf(mount, sizeof(mount), "%s", at[i]);
		if (!access(path, W_OK))
			return true;
	}
	return false;
}

static int get(const char *path, const char *accept)
{
	return sh("curl -s -H 'Accept: %s' -w '%%{http_code}' "
		  "http://127.0.0.1:%d%s",
		  accept, port, path);
}

static void export_start(const char *options)
{
	char command[512];

	port = free_port();
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
}

static void export_stop(void)
{
	int status;

	kill(exporter, SIGTERM);
	ck_assert_int_eq(waitpid(exporter, &status, 0), exporter);
	ck_assert(WIFEXITED(status) && !WEXITSTATUS(status));
}

/* The number behind that series in text; -1: it is not there. */
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

#define NEED_EXPORT()                                                    \
	do {                                                             \
		NEED_BPF();                                              \
		if (!have_cgroups())                                     \
			SKIP("no cgroup2 mount that can be written to"); \
		if (sh("curl --version 2>&1"))                           \
			SKIP("no curl here");                            \
	} while (0)

START_TEST(export_counts_each_cgroup_exactly)
{
	NEED_EXPORT();
	export_start("--max-syscalls 64");
	ck_assert_int_eq(sh("mkdir -p %s/urt-a %s/urt-b && "
			    "(echo 0 >%s/urt-a/cgroup.procs && "
			    "exec tests/probe calls 1000) && "
			    "(echo 0 >%s/urt-b/cgroup.procs && "
			    "exec tests/probe calls 50)",
			    mount, mount, mount, mount),
			 0);
	ck_assert_int_eq(get("/metrics", "text/plain"), 0);
	ck_assert_int_eq(series("urt_system_calls_total{cgroup=\"/urt-a\","
				"name=\"sched_get_priority_max\"}"),
			 1000);
	ck_assert_int_eq(series("urt_system_calls_total{cgroup=\"/urt-b\","
				"name=\"sched_get_priority_max\"}"),
			 50);
	ck_assert_int_ge(series("process_context_switches_total{cgroup=\""
				"/urt-a\",process_context_switch_type="
				"\"voluntary\"}"),
			 1);
	/* A cgroup that goes takes its series along. */
	ck_assert_int_eq(sh("rmdir %s/urt-a", mount), 0);
	ck_assert_int_eq(get("/metrics", "text/plain"), 0);
	ck_assert_ptr_null(strstr(text, "\"/urt-a\""));
	ck_assert_ptr_nonnull(strstr(text, "\"/urt-b\""));
	export_stop();
	sh("rmdir %s/urt-b", mount);
}
END_TEST

START_TEST(export_bounds_its_series_and_loses_nothing)
{
	long long other;

	NEED_EXPORT();
	export_start("--max-groups 3 --max-syscalls 64 --no-times");
	/* Short-lived between two reads: counted, without a name. */
	ck_assert_int_eq(
		sh("for i in $(seq 20); do g=%s/urt-short-$i; mkdir $g && "
		   "(echo 0 >$g/cgroup.procs && exec tests/probe calls 10) && "
		   "rmdir $g || exit 1; done",
		   mount),
		0);
	ck_assert_int_eq(get("/metrics", "text/plain"), 0);
	other = series("urt_system_calls_total{cgroup=\"other\","
		       "name=\"sched_get_priority_max\"}");
	ck_assert_int_eq(other, 200);
	ck_assert_ptr_null(strstr(text, "urt_off_cpu_seconds"));
	ck_assert_int_eq(
		sh("for i in $(seq 20); do g=%s/urt-long-$i; mkdir $g && "
		   "(echo 0 >$g/cgroup.procs && exec tests/probe calls 10) || "
		   "exit 1; done",
		   mount),
		0);
	ck_assert_int_eq(get("/metrics", "text/plain"), 0);
	ck_assert_int_le(series("\nurt_export_cgroups"), 4);
	ck_assert_int_ge(series("urt_system_calls_total{cgroup=\"other\","
				"name=\"sched_get_priority_max\"}"),
			 other + 10 * 17);
	sh("rmdir %s/urt-long-*", mount);
	export_stop();
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
	int fd[20];

	NEED_EXPORT();
	export_start("--no-times");
	addr.sin_port = htons(port);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	/* More than it serves at a time, each with half a request. */
	for (unsigned i = 0; i < ARRAY_LEN(fd) / 2; i++) {
		fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		ck_assert_int_eq(connect(fd[i], (void *)&addr, sizeof(addr)),
				 0);
		ck_assert_int_eq(write(fd[i], "GET /met", 8), 8);
	}
	ck_assert_int_eq(get("/metrics", "text/plain"), 0);
	ck_assert_int_eq(get("/nothing", "text/plain"), 0);
	ck_assert_ptr_nonnull(strstr(text, "404"));
	ck_assert_int_eq(sh("curl -s -X POST -w '%%{http_code}' "
			    "http://127.0.0.1:%d/metrics",
			    port),
			 0);
	ck_assert_ptr_nonnull(strstr(text, "405"));
	for (unsigned i = 0; i < ARRAY_LEN(fd) / 2; i++)
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

Suite *export_suite(void)
{
	Suite *s = suite_create("export");
	TCase *t = tcase_create("export");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, export_counts_each_cgroup_exactly);
	tcase_add_test(t, export_bounds_its_series_and_loses_nothing);
	tcase_add_test(t, export_writes_what_prometheus_reads);
	tcase_add_test(t, export_is_not_held_up_by_a_client);
	tcase_add_test(t, export_refuses_what_it_cannot_do);
	suite_add_tcase(s, t);
	return s;
}
