// SPDX-License-Identifier: MIT
/*
 * The command urt, as a user meets it: exact counts against independent
 * sources, exit codes, bad input. Runs in the build directory.
 */
#define _GNU_SOURCE
#include "test.h"
#include "tool_run.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void stat_probe(const char *args)
{
	ck_assert_int_eq(sh("./urt stat --json -o stat.json -- tests/probe %s "
			    ">probe.out",
			    args),
			 0);
	ck_assert_int_eq(sh("cat stat.json"), 0);
	ck_assert_ptr_nonnull(strstr(text, "\"schema\":\"urt.stat.v1\""));
	ck_assert_int_eq(number(NULL, "drops"), 0);
}

static void kernel_agrees(void)
{
	ck_assert_int_eq(number("switches", "total"),
			 number("kernel", "nvcsw") +
				 number("kernel", "nivcsw"));
	ck_assert_int_eq(number("switches", "voluntary"),
			 number("kernel", "nvcsw"));
}

/* ---- counting ---- */

START_TEST(stat_counts_switches_as_the_kernel_does)
{
	long long before, after, total;
	long v[2], n[2];

	NEED_BPF();
	stat_probe("sleeps 100");
	kernel_agrees();
	total = number("switches", "total");
	ck_assert_int_eq(sh("cat probe.out"), 0);
	ck_assert_int_eq(
		sscanf(text, "%ld %ld %ld %ld", &v[0], &n[0], &v[1], &n[1]), 4);
	before = v[0] + n[0];
	after = v[1] + n[1];
	/*
	 * The program's own rusage counts from the fork, the tool from the
	 * exec, and the tool sees the end: so the tool has at least what lay
	 * between the two looks, and at most all of it and the ending.
	 */
	ck_assert_int_ge(total, after - before);
	ck_assert_int_le(total, after + 10);
	/* A sleep may be over before it has begun to wait. */
	ck_assert_int_ge(after - before, 90);
}
END_TEST

START_TEST(stat_tells_in_which_call_it_switched)
{
	NEED_BPF();
	stat_probe("sleeps 100");
	ck_assert_int_ge(number("by_syscall", "clock_nanosleep") +
				 number("by_syscall", "nanosleep"),
			 90);
}
END_TEST

START_TEST(stat_counts_calls_exactly)
{
	NEED_BPF();
	stat_probe("calls 12345");
	ck_assert_int_eq(number("by_name", "sched_get_priority_max"), 12345);
	ck_assert_int_eq(number("by_name", "execve"), 1);
	ck_assert_int_eq(number("by_name", "exit_group"), 1);
	kernel_agrees();
}
END_TEST

START_TEST(stat_follows_children_and_threads)
{
	NEED_BPF();
	stat_probe("children 50");
	ck_assert_int_eq(number("by_name", "sched_get_priority_max"), 500);
	if (!SANITIZED) /* which start threads of their own */
		ck_assert_int_eq(number("threads", "app"), 51);
	kernel_agrees();
	stat_probe("threads 50");
	ck_assert_int_eq(number("by_name", "sched_get_priority_max"), 500);
	kernel_agrees();
}
END_TEST

START_TEST(stat_counts_io_uring_operations_exactly)
{
	NEED_BPF();
	if (sh("tests/probe nops 1") == 77)
		SKIP("no io_uring here");
	stat_probe("nops 1000");
	ck_assert_int_eq(number("io_uring", "submitted"), 1000);
	ck_assert_int_eq(number("io_uring", "completed"), 1000);
	ck_assert_int_eq(number("by_opcode", "NOP"), 1000);
	ck_assert_int_ge(number("io_uring", "enters"), 125);
}
END_TEST

START_TEST(stat_shows_switches_in_user_space)
{
	stat_probe("yields 1000");
	ck_assert_int_eq(number("user", "yields"), 1000);
	ck_assert_int_ge(number("user", "switches"), 1000);
	stat_probe("calls 1");
	ck_assert_ptr_nonnull(strstr(text, "\"user\":null"));
}
END_TEST

/* name and calls of each line of strace -c; calls by that name in the other. */
static void compare_with_strace(const char *args)
{
	static char strace[sizeof(text)];
	char *line, *save;
	int compared = 0;

	ck_assert_int_eq(sh("strace -f -c -o strace.out tests/probe %s "
			    ">probe.out && cat strace.out",
			    args),
			 0);
	snprintf(strace, sizeof(strace), "%s", text);
	stat_probe(args);
	for (line = strtok_r(strace, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		double percent, seconds;
		long usecs, calls;
		char rest[128], name[64];

		if (sscanf(line, "%lf %lf %ld %ld %127[^\n]", &percent,
			   &seconds, &usecs, &calls, rest) != 5 ||
		    sscanf(strrchr(rest, ' ') ? strrchr(rest, ' ') : rest,
			   "%63s", name) != 1 ||
		    !strcmp(name, "total") || !isalpha(name[0]))
			continue;
		ck_assert_msg(number("by_name", name) == calls,
			      "%s: strace %ld, urt %lld", name, calls,
			      number("by_name", name));
		compared++;
	}
	ck_assert_int_gt(compared, 10);
}

START_TEST(stat_agrees_with_strace)
{
	NEED_BPF();
	if (sh("strace -V >/dev/null 2>&1"))
		SKIP("no strace here: `make deps`");
	if (SANITIZED)
		SKIP("a sanitizer's own system calls differ under ptrace");
	compare_with_strace("calls 100");
	compare_with_strace("children 3");
	compare_with_strace("sleeps 20");
}
END_TEST

START_TEST(stat_attaches_to_a_running_process)
{
	NEED_BPF();
	ck_assert_int_eq(
		sh("tests/probe hang >/dev/null & pid=$!; sleep 0.3\n"
		   "./urt stat --json -p $pid -o stat.json & tool=$!\n"
		   "sleep 1; kill -USR1 $pid; wait $pid; echo $?; wait $tool\n"
		   "cat stat.json"),
		0);
	ck_assert_int_eq(atoi(text), 7);
	/* Only the end: the signal, and _exit in its handler. */
	ck_assert_int_eq(number("by_name", "exit_group"), 1);
	ck_assert_int_eq(number("by_name", "execve"), -1);
	if (!SANITIZED)
		ck_assert_int_eq(number("threads", "app"), 1);
	kernel_agrees();
}
END_TEST

START_TEST(stat_without_bpf_says_what_is_missing)
{
	ck_assert_int_eq(
		sh("./urt stat --no-bpf --no-perf --json -- tests/probe "
		   "sleeps 20 "
		   "2>&1 >/dev/null"),
		0);
	ck_assert_ptr_nonnull(strstr(text, "\"source\":\"proc\""));
	ck_assert_int_ge(number("switches", "voluntary"), 20);
	ck_assert_ptr_nonnull(strstr(text, "\"syscalls\":null"));
	ck_assert_ptr_nonnull(strstr(text, "\"syscalls\":\"not wanted"));
}
END_TEST

/* ---- manners ---- */

START_TEST(stat_passes_on_exit_status_and_stdout)
{
	ck_assert_int_eq(sh("./urt stat -- tests/probe exit 42 2>/dev/null"),
			 42);
	ck_assert_int_eq(sh("./urt stat -- tests/probe signal 2>/dev/null"),
			 128 + SIGTERM);
	ck_assert_int_eq(sh("./urt stat -- echo only this 2>/dev/null"), 0);
	ck_assert_str_eq(text, "only this\n");
}
END_TEST

START_TEST(stat_forwards_signals)
{
	ck_assert_int_eq(sh("./urt stat -o stat.txt -- tests/probe hang "
			    ">/dev/null & tool=$!\n"
			    "sleep 1; kill -USR1 $tool; wait $tool; echo $?\n"
			    "cat stat.txt"),
			 0);
	ck_assert_int_eq(atoi(text), 7);
	ck_assert_ptr_nonnull(strstr(text, "kernel switches"));
}
END_TEST

START_TEST(bad_input_is_refused_with_advice)
{
	refuses("./urt nonsense", "no such command");
	refuses("./urt stat", "either a command after -- or -p PID");
	refuses("./urt stat -p 99999999 ", "not a number from");
	refuses("./urt stat -p 4194300", "no process has the PID");
	refuses("./urt stat -p abc", "not a number");
	refuses("./urt stat -- /no/such/program", "cannot run");
	refuses("./urt stat -o /no/such/file -- true", "cannot write");
	refuses("./urt serve nonsense", "no such model");
	refuses("./urt serve", "name one model");
	refuses("./urt serve epoll --port 99999", "not a number");
	refuses("./urt demo --models thread,nonsense", "no such model");
	refuses("./urt demo --connections 0", "not a number");
	refuses("./urt demo --seconds x", "not a number");
	refuses("./urt demo surplus", "too much");
	refuses("./urt load http://127.0.0.1:1/", "cannot connect");
	refuses("./urt load ftp://x", "no URL");
	refuses("./urt bench nonsense", "no such benchmark");
	refuses("ulimit -n 100; setpriv --bounding-set=-sys_resource "
		"--inh-caps=-sys_resource ./urt demo -c 500",
		"ulimit -n");
}
END_TEST

START_TEST(a_port_in_use_is_said)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char command[128];

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, len), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	getsockname(fd, (struct sockaddr *)&addr, &len);
	snprintf(command, sizeof(command), "./urt serve thread --port %d",
		 ntohs(addr.sin_port));
	refuses(command, "is in use");
	close(fd);
}
END_TEST

/* ---- the servers and the demo ---- */

static const char *const c_models[] = { "thread", "epoll", "uring-loop",
					"coroutine" };
static const char *const all_models[] = { "thread",    "epoll", "uring-loop",
					  "coroutine", "node",	"go" };

static pid_t server;
static int server_port;

static bool server_start(const char *model)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char port[8];

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	bind(fd, (struct sockaddr *)&addr, len);
	getsockname(fd, (struct sockaddr *)&addr, &len);
	close(fd);
	server_port = ntohs(addr.sin_port);
	snprintf(port, sizeof(port), "%d", server_port);
	server = fork();
	if (!server) {
		int null = open("/dev/null", O_WRONLY);

		prctl(PR_SET_PDEATHSIG, SIGKILL); /* also if the test fails */
		setpgid(0, 0);
		dup2(null, 1);
		execl("./urt", "./urt", "serve", model, "--port", port, NULL);
		_exit(127);
	}
	for (int i = 0; i < 3000; i++) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		addr.sin_port = htons(server_port);
		if (!connect(fd, (struct sockaddr *)&addr, len)) {
			close(fd);
			return true;
		}
		close(fd);
		usleep(10000);
	}
	return false;
}

static void server_stop(void)
{
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
}

/* Sends the parts with a pause between them, and reads until `want` bytes of
 * answer came or the server closed. */
static size_t talk(const char *const *part, unsigned parts, char *in,
		   size_t size, size_t want)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_port = htons(server_port) };
	struct timeval patience = { 10, 0 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	size_t got = 0;
	ssize_t n;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)),
			 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	for (unsigned i = 0; i < parts; i++) {
		if (i)
			usleep(20000);
		ck_assert_int_ge(
			send(fd, part[i], strlen(part[i]), MSG_NOSIGNAL), 0);
	}
	while (got < want && (n = recv(fd, in + got, size - 1 - got, 0)) > 0)
		got += n;
	ck_assert_msg(got >= want || n >= 0 || errno == ECONNRESET,
		      "no answer in 10 s");
	in[got] = '\0';
	close(fd);
	return got;
}

#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"

static void answers(const char *request, const char *begins)
{
	char in[4096];
	const char *ok = strstr(begins, "200") ? begins : NULL;

	talk(&request, 1, in, sizeof(in), ok ? strlen(ok) : sizeof(in));
	ck_assert_msg(!strncmp(in, begins, strlen(begins)), "%.40s: %s",
		      request, in);
}

/* The same answers from every model. */
static void conforms(const char *model)
{
	static char large[8192];
	const char *split[] = { "GE", "T / HT", "TP/1.1\r\nHo", "st: x\r\n\r",
				"\n" };
	const char *pipelined = "GET / HTTP/1.1\r\n\r\n"
				"GET /wait?ms=1 HTTP/1.1\r\n\r\n"
				"GET / HTTP/1.1\r\n\r\n";
	char in[4096];

	if (!server_start(model)) {
		server_stop();
		ck_abort_msg("%s does not listen", model);
	}
	answers("GET / HTTP/1.1\r\nHost: x\r\n\r\n", OK_ANSWER);
	answers("GET /wait?ms=5 HTTP/1.1\r\n\r\n", OK_ANSWER);
	answers("GET /cpu?ms=1 HTTP/1.1\r\n\r\n", OK_ANSWER);
	answers("GET /none HTTP/1.1\r\n\r\n", "HTTP/1.1 404 ");
	answers("nonsense\r\n\r\n", "HTTP/1.1 400 ");
	answers("GET /wait?ms=x HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ");
	memset(large, 'x', 4096);
	answers(large, "HTTP/1.1 431 ");
	talk(split, ARRAY_LEN(split), in, sizeof(in), strlen(OK_ANSWER));
	ck_assert_str_eq(in, OK_ANSWER);
	talk(&pipelined, 1, in, sizeof(in), 3 * strlen(OK_ANSWER));
	ck_assert_str_eq(in, OK_ANSWER OK_ANSWER OK_ANSWER);
	ck_assert_int_eq(waitpid(server, NULL, WNOHANG), 0);
	server_stop();
}

START_TEST(all_models_give_the_same_answers)
{
	const char *model = all_models[_i];

	if (_i >= (int)ARRAY_LEN(c_models) &&
	    sh("command -v %s >/dev/null", model))
		SKIP("%s is not installed: `make peers`", model);
	conforms(model);
}
END_TEST

START_TEST(load_measures_a_server)
{
	ck_assert(server_start("epoll"));
	ck_assert_int_eq(sh("./urt load --json -c 8 -d 1 "
			    "http://127.0.0.1:%d/",
			    server_port),
			 0);
	ck_assert_int_gt(number(NULL, "requests"), 100);
	ck_assert_int_eq(number(NULL, "errors"), 0);
	ck_assert_int_gt(number("latency_ns", "p50"), 0);
	ck_assert_int_ge(number("latency_ns", "p99"),
			 number("latency_ns", "p50"));
	ck_assert_int_eq(sh("./urt load --json -c 8 -d 1 "
			    "'http://127.0.0.1:%d/wait?ms=20'",
			    server_port),
			 0);
	ck_assert_int_ge(number("latency_ns", "p50"), 20 * MS);
	server_stop();
}
END_TEST

START_TEST(demo_measures_the_models_and_judges)
{
	bool bpf = have_bpf();

	ck_assert_int_eq(sh("./urt demo --json -c 16 -d 1 -w 2 "
			    "-m thread,epoll,uring-loop,coroutine"),
			 0);
	ck_assert_ptr_nonnull(strstr(text, "\"schema\":\"urt.demo.v1\""));
	ck_assert_ptr_null(strstr(text, "\"status\":\"failed\""));
	ck_assert_ptr_nonnull(strstr(text, "\"model\":\"coroutine\""));
	ck_assert_int_eq(number(NULL, "errors"), 0);
	ck_assert_ptr_nonnull(strstr(text, "\"id\":9"));
	if (bpf)
		ck_assert_ptr_nonnull(strstr(text, "\"entries_per_switch\":"));
	/* TSan may add a thread of its own to each. */
	ck_assert_int_ge(number("measured", "threads_coroutine"), 1);
	ck_assert_int_le(number("measured", "threads_coroutine"),
			 1 + TSANITIZED);
	ck_assert_int_ge(number("measured", "threads_thread"), 17);
	ck_assert_int_le(number("measured", "threads_thread"), 17 + TSANITIZED);
}
END_TEST

START_TEST(demo_interrupted_prints_what_it_has)
{
	/* The first model would run for an hour. */
	ck_assert_int_eq(sh("setsid -w timeout -s INT --preserve-status %d "
			    "./urt demo -c 8 -d 3600 -m epoll,thread 2>&1",
			    SANITIZED ? 15 : 6),
			 0);
	ck_assert_ptr_nonnull(strstr(text, "Interrupted"));
	ck_assert_ptr_nonnull(strstr(text, "epoll"));
}
END_TEST

START_TEST(doctor_names_what_it_looked_at)
{
	sh("./urt doctor");
	ck_assert_ptr_nonnull(strstr(text, "io_uring"));
	ck_assert_ptr_nonnull(strstr(text, "eBPF"));
	sh("./urt doctor --json");
	ck_assert_ptr_nonnull(strstr(text, "urt.doctor.v1"));
}
END_TEST

Suite *tool_suite(void)
{
	Suite *s = suite_create("tool");
	TCase *t = tcase_create("stat");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, stat_counts_switches_as_the_kernel_does);
	tcase_add_test(t, stat_tells_in_which_call_it_switched);
	tcase_add_test(t, stat_counts_calls_exactly);
	tcase_add_test(t, stat_follows_children_and_threads);
	tcase_add_test(t, stat_counts_io_uring_operations_exactly);
	tcase_add_test(t, stat_shows_switches_in_user_space);
	tcase_add_test(t, stat_agrees_with_strace);
	tcase_add_test(t, stat_attaches_to_a_running_process);
	tcase_add_test(t, stat_without_bpf_says_what_is_missing);
	tcase_add_test(t, stat_passes_on_exit_status_and_stdout);
	tcase_add_test(t, stat_forwards_signals);
	suite_add_tcase(s, t);
	t = tcase_create("commands");
	tcase_set_timeout(t, 120);
	tcase_add_test(t, bad_input_is_refused_with_advice);
	tcase_add_test(t, a_port_in_use_is_said);
	tcase_add_loop_test(t, all_models_give_the_same_answers, 0,
			    ARRAY_LEN(all_models));
	tcase_add_test(t, load_measures_a_server);
	tcase_add_test(t, demo_measures_the_models_and_judges);
	tcase_add_test(t, demo_interrupted_prints_what_it_has);
	tcase_add_test(t, doctor_names_what_it_looked_at);
	suite_add_tcase(s, t);
	return s;
}
