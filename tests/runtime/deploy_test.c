// SPDX-License-Identifier: MIT
/* Deploying a server: replacing it while it runs, and a seccomp profile. */
#define _GNU_SOURCE
#include "../../tools/lib/tool.h"
#include "../lib/example.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/syscall.h>

/* ---- restart ------------------------------------------------------------ */

#define ANSWER 11 /* bytes of the body: a pid and a newline */

/* Asks on a connection. Returns the pid that answers; 0: the request was
 * lost. */
static int ask(int fd, bool *last)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
	char b[512], *end = NULL;
	size_t n = 0;

	if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0)
		return 0;
	while (!end || n < (size_t)(end + 4 - b) + ANSWER) {
		ssize_t got = recv(fd, b + n, sizeof(b) - 1 - n, 0);

		if (got <= 0)
			return 0;
		n += got;
		b[n] = '\0';
		end = strstr(b, "\r\n\r\n");
	}
	*last = strstr(b, "Connection: close");
	return atoi(end + 4);
}

static _Atomic bool stop;
static _Atomic int answered, lost;

/* A client that never pauses; `one`: a connection for each request. */
static void *client(void *one)
{
	int fd = -1;

	while (!stop) {
		bool last = true;

		if (fd < 0)
			fd = server_connect();
		if (fd < 0 || !ask(fd, &last))
			lost++;
		else
			answered++;
		if (fd >= 0 && (last || one)) {
			close(fd);
			fd = -1;
		}
	}
	close(fd);
	return NULL;
}

static int pid_now(void)
{
	int fd = server_connect(), pid = 0;
	bool last;

	if (fd >= 0)
		pid = ask(fd, &last);
	close(fd);
	return pid;
}

/* Starts an example, or a program, with this time to drain. */
static void start(const char *name, const char *seconds)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1); /* so its successors are ours */
	example_start(name, seconds, NULL);
}

static void ends_well(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(!status, "status %x", status);
}

/* Asks `server` to be replaced, until another process answers. */
static void replace(void)
{
	int pid;

	do {
		ck_assert_int_eq(kill(server, SIGHUP), 0);
		usleep(1000);
		pid = pid_now();
		ck_assert_int_ne(pid, 0);
	} while (pid == server);
	ends_well(server);
	server = pid;
}

START_TEST(restart_under_load_loses_no_request)
{
	pthread_t t[4];

	if (TSANITIZED)
		SKIP("TSan keeps signals back");
	start("examples/restart", "60");
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, client, i % 2 ? "one" : NULL);
	for (int i = 0; i < 3; i++)
		replace();
	while (answered <= 100 && !lost)
		usleep(1000);
	stop = true;
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	ck_assert_int_eq(lost, 0);
	kill(server, SIGTERM);
	ends_well(server);
	server = 0;
}
END_TEST

START_TEST(server_goes_on_when_its_successor_fails)
{
	char path[64];
	int old;

	if (TSANITIZED)
		SKIP("TSan keeps signals back");
	snprintf(path, sizeof(path), "%s/restart", example_dir);
	ck_assert_int_eq(sh("cp examples/restart %s", path), 0);
	start(path, "60");
	old = server;
	/* A program that records that it was started, and fails. */
	ck_assert_int_eq(
		sh("cd %s && printf '#!/bin/sh\\n: >%s/failed\\nexit 1\\n' "
		   ">new && chmod +x new && mv new restart",
		   example_dir, example_dir),
		0);
	do {
		ck_assert_int_eq(kill(server, SIGHUP), 0);
		ck_assert_int_eq(pid_now(), old);
	} while (sh("test -e %s/failed", example_dir));
	ck_assert_int_eq(pid_now(), old);
	ck_assert_int_eq(sh("cp examples/restart %s.new && mv %s.new %s", path,
			    path, path),
			 0);
	replace();
	kill(server, SIGTERM);
	ends_well(server);
	server = 0;
}
END_TEST

/* A connection that was served once. */
static int connect_and_ask(void)
{
	int fd = server_connect();
	bool last;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ask(fd, &last), server);
	ck_assert(!last);
	return fd;
}

/* Ends the server, and waits until it accepts no more. */
static void begin_to_drain(void)
{
	int fd;

	ck_assert_int_eq(kill(server, SIGTERM), 0);
	while ((fd = server_connect()) >= 0)
		close(fd);
}

START_TEST(request_that_has_begun_is_answered_while_the_server_drains)
{
	static const char begin[] = "GET / HTTP/1.1\r\nHost: ";
	char rest;
	int fd;
	bool last;

	if (TSANITIZED)
		SKIP("TSan keeps signals back");
	start("examples/restart", "60");
	fd = connect_and_ask();
	ck_assert_int_eq(send(fd, begin, sizeof(begin) - 1, 0),
			 sizeof(begin) - 1);
	begin_to_drain();
	ck_assert_int_eq(ask(fd, &last), server); /* because it has that name */
	ck_assert(last);
	ck_assert_int_eq(recv(fd, &rest, 1, 0), 0);
	ends_well(server);
	server = 0;
	close(fd);
}
END_TEST

START_TEST(server_that_drains_ends_at_its_deadline)
{
	int fd;
	char rest;

	if (TSANITIZED)
		SKIP("TSan keeps signals back");
	start("examples/restart", "0.05");
	fd = connect_and_ask();
	begin_to_drain();
	ends_well(server); /* though our connection is open */
	server = 0;
	ck_assert_int_le(recv(fd, &rest, 1, 0), 0);
	close(fd);
}
END_TEST

/* As systemd does it. */
START_TEST(request_sent_before_the_server_starts_is_answered)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;
	char pid[16];
	bool last;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&addr, len), 0);
	listen(listener, 10);
	getsockname(listener, (struct sockaddr *)&addr, &len);
	server_port = ntohs(addr.sin_port);
	fd = server_connect();
	server = fork();
	if (!server) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(listener, 3);
		fcntl(3, F_SETFD, 0);
		snprintf(pid, sizeof(pid), "%d", (int)getpid());
		setenv("LISTEN_FDS", "1", 1);
		setenv("LISTEN_PID", pid, 1);
		execl("examples/restart", "restart", "no address", NULL);
		_exit(127);
	}
	close(listener);
	ck_assert_int_eq(ask(fd, &last), server);
	close(fd);
	kill(server, SIGTERM);
	ends_well(server);
	server = 0;
}
END_TEST

/* ---- seccomp ------------------------------------------------------------ */

#define PROFILE "../../tools/packaging/seccomp.json"

static struct sock_filter filter[4096];
static unsigned short len;

static void add(unsigned short code, uint8_t jt, uint8_t jf, uint32_t k)
{
	ck_assert_uint_lt(len, ARRAY_LEN(filter));
	filter[len++] = (struct sock_filter){ code, jt, jf, k };
}

static void add_if_equal(uint32_t value, uint32_t then)
{
	add(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, value);
	add(BPF_RET | BPF_K, 0, 0, then);
}

/* Where `what` is in the entry of the list that ends at `end`, or NULL. */
static const char *within(const char *entry, const char *end, const char *what)
{
	const char *p = strstr(entry, what);

	return p && p < end ? p + strlen(what) : NULL;
}

/* The profile's rules for this system call; the filter has its number in A. */
static void add_call(const char *profile, unsigned nr, bool with_rings)
{
	char name[40] = "\"", buf[32];
	const char *p, *entry, *end;

	strcat(name, syscall_name(nr, buf));
	strcat(name, "\"");
	p = entry = strstr(profile, name);
	if (!p || (!with_rings && strstr(name, "io_uring")))
		return;
	end = strstr(p, "\n\t\t}");
	while (strncmp(entry, "\n\t\t{", 4))
		entry--;
	if ((p = within(entry, end, "\"errnoRet\": "))) {
		add_if_equal(nr, SECCOMP_RET_ERRNO | atoi(p));
	} else if ((p = within(entry, end, "\"value\": "))) {
		/* Allowed, if the first argument has none of these bits. */
		ck_assert_ptr_nonnull(within(entry, end, "MASKED_EQ"));
		add(BPF_JMP | BPF_JEQ | BPF_K, 0, 4, nr);
		add(BPF_LD | BPF_W | BPF_ABS, 0, 0,
		    offsetof(struct seccomp_data, args));
		add(BPF_JMP | BPF_JSET | BPF_K, 1, 0, atoll(p));
		add(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW);
		add(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM);
	} else {
		add_if_equal(nr, SECCOMP_RET_ALLOW);
	}
}

/* The filter that an engine makes of the profile, for this architecture. */
static void read_profile(bool with_rings, int error)
{
	char *profile = text;

	ck_assert_int_eq(sh("cat " PROFILE), 0);
	len = 0;
	add(BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr));
	for (unsigned nr = 0; nr < 600; nr++)
		add_call(profile, nr, with_rings);
	add(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | error);
}

/* Runs it by the shell, under the filter; else as sh(). 77: there is no
 * seccomp. */
static int under_profile(const char *command)
{
	struct sock_fprog prog = { len, filter };
	int out[2], status;
	size_t n = 0;
	ssize_t got;
	pid_t pid;

	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	pid = fork();
	if (!pid) {
		dup2(out[1], 1);
		dup2(out[1], 2);
		/* The sanitizer searches for leaks by ptrace, which the profile
		 * refuses. */
		if (SANITIZED)
			setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
			_exit(77);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(126);
	}
	close(out[1]);
	while ((got = read(out[0], text + n, sizeof(text) - 1 - n)) > 0)
		n += got;
	text[n] = '\0';
	close(out[0]);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static const char *const confined[] = {
	"examples/sieve 10 | tail -1 | grep -x 29",
	"examples/hash examples/hash",
	"examples/tickets",
	"URT_WORKERS=4 examples/scan localhost 1 100",
	"CK_RUN_SUITE=files tests/urt_test",
	"CK_RUN_SUITE=process tests/urt_test",
	"CK_RUN_SUITE=locks tests/urt_test",
};

START_TEST(program_runs_under_the_seccomp_profile)
{
	int code;

	read_profile(true, EPERM);
	code = under_profile(confined[_i]);
	if (code == 77)
		SKIP("no seccomp here");
	ck_assert_msg(!code, "%s: exit code %d: %s", confined[_i], code, text);
}
END_TEST

START_TEST(profile_without_io_uring_is_named_as_the_cause)
{
	/* Docker's default profile, and Podman's. */
	read_profile(false, _i ? ENOSYS : EPERM);
	if (under_profile("examples/sieve 10") == 77)
		SKIP("no seccomp here");
	ck_assert_msg(strstr(text, "seccomp"), "%s", text);
	under_profile("./urt doctor");
	ck_assert_msg(strstr(text, "forbidden, probably by a container's"),
		      "%s", text);
}
END_TEST

START_TEST(profile_refuses_what_a_server_does_not_need)
{
	static const char *const no[] = { "mount",
					  "umount2",
					  "unshare",
					  "setns",
					  "ptrace",
					  "bpf",
					  "perf_event_open",
					  "keyctl",
					  "init_module",
					  "kexec_load",
					  "reboot",
					  "swapon",
					  "process_vm_writev",
					  "userfaultfd",
					  "open_by_handle_at" };
	char name[40];

	ck_assert_int_eq(sh("cat " PROFILE), 0);
	for (size_t i = 0; i < ARRAY_LEN(no); i++) {
		snprintf(name, sizeof(name), "\"%s\"", no[i]);
		ck_assert_msg(!strstr(text, name), "%s is allowed", name);
	}
	read_profile(true, EPERM);
	if (geteuid())
		SKIP("root's calls are what would be allowed");
	ck_assert_int_ne(under_profile("unshare -m true"), 0);
	ck_assert_int_ne(under_profile("mount -t tmpfs none /mnt"), 0);
}
END_TEST

/* As systemd's SystemCallFilter=~@resources without SystemCallErrorNumber. */
START_TEST(program_makes_no_call_that_a_usual_filter_ends_it_for)
{
	static const unsigned no[] = {
		SYS_sched_setaffinity,	SYS_sched_setattr, SYS_sched_setparam,
		SYS_sched_setscheduler, SYS_setpriority,   SYS_ioprio_set
	};
	int code;

	len = 0;
	add(BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < ARRAY_LEN(no); i++)
		add_if_equal(no[i], SECCOMP_RET_KILL_PROCESS);
	add(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW);
	code = under_profile("examples/sieve 10");
	if (code == 77)
		SKIP("no seccomp here");
	ck_assert_msg(!code, "exit code %d: %s", code, text);
}
END_TEST

Suite *deploy_suite(void)
{
	Suite *s = suite_create("deploy");
	TCase *t = tcase_create("deploy");

	tcase_add_checked_fixture(t, example_setup, example_teardown);
	tcase_add_test(t, restart_under_load_loses_no_request);
	tcase_add_test(t, server_goes_on_when_its_successor_fails);
	tcase_add_test(
		t, request_that_has_begun_is_answered_while_the_server_drains);
	tcase_add_test(t, server_that_drains_ends_at_its_deadline);
	tcase_add_test(t, request_sent_before_the_server_starts_is_answered);
	tcase_add_loop_test(t, program_runs_under_the_seccomp_profile, 0,
			    ARRAY_LEN(confined));
	tcase_add_loop_test(t, profile_without_io_uring_is_named_as_the_cause,
			    0, 2);
	tcase_add_test(t, profile_refuses_what_a_server_does_not_need);
	tcase_add_test(t,
		       program_makes_no_call_that_a_usual_filter_ends_it_for);
	suite_add_tcase(s, t);
	return s;
}
