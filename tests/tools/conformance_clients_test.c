// SPDX-License-Identifier: MIT
/*
 * How each model treats clients that are slow, greedy or gone, and the memory,
 * descriptors and connections that they take.
 */
#define _GNU_SOURCE
#include "../lib/conformance.h"
#include <dirent.h>
#include <sys/stat.h>
#include <time.h>

/* ---- pieces and heaps ---- */

#define MANY 20000

/* Sends all, and only then reads, so the server has to wait. */
START_TEST(every_model_waits_for_a_client_that_does_not_read)
{
	static const char request[] = GET("/") "\r\n";
	size_t want = MANY * strlen(OK_ANSWER), got;
	char *in = malloc(want);
	bool closed;
	pid_t sender;
	int fd;

	if (!serving_plain(models[_i].name))
		return;
	fd = server_connect();
	sender = fork();
	if (!sender) {
		for (int i = 0; i < MANY; i++)
			put(fd, request, strlen(request));
		_exit(0);
	}
	usleep(100000); /* as long as it takes to fill the buffers */
	got = get(fd, in, want, &closed);
	ck_assert_uint_eq(got, want);
	for (size_t i = 0; i < want; i += strlen(OK_ANSWER))
		ck_assert(!memcmp(in + i, OK_ANSWER, strlen(OK_ANSWER)));
	waitpid(sender, NULL, 0);
	close(fd);
	free(in);
	stops_well(models[_i].name);
}
END_TEST

/* ---- clients that leave ---- */

START_TEST(every_model_answers_a_client_that_has_said_all)
{
	static const struct {
		const char *request, *answers;
	} halves[] = {
		{ GET("/") END, OK_ANSWER },
		{ GET("/wait?ms=30") END, OK_ANSWER },
		{ GET("/wait?ms=10") END GET("/") END, OK_ANSWER OK_ANSWER },
		{ GET("/wait?ms=10") END "GET / HT", OK_ANSWER },
		{ "GET / HT", "" },
		{ "", "" },
	};

	if (!serving(models[_i].name))
		return;
	for (unsigned i = 0; i < ARRAY_LEN(halves); i++) {
		char in[512];
		bool closed;
		int fd = server_connect();

		put(fd, halves[i].request, strlen(halves[i].request));
		shutdown(fd, SHUT_WR);
		in[get(fd, in, sizeof(in) - 1, &closed)] = '\0';
		ck_assert_msg(!strcmp(in, halves[i].answers),
			      "%s: \"%s\" is answered \"%s\"", models[_i].name,
			      halves[i].request, in);
		ck_assert(closed);
		close(fd);
	}
	stops_well(models[_i].name);
}
END_TEST

/* Of its descriptors, those of clients; a runtime may open others at any time. */
static int open_sockets(void)
{
	char path[64], name[600], to[16];
	struct dirent *e;
	int n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", server);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		n += readlink(name, to, sizeof(to)) > 7 &&
		     !strncmp(to, "socket:", 7);
	}
	if (d)
		closedir(d);
	return n;
}

/* A client that leaves in the middle of something; i chooses how. */
static void leave(unsigned i)
{
	static const char *const begun[] = {
		"",
		"GET / HT",
		GET("/wait?ms=20") END,
		GET("/wait?ms=20") END GET("/wait?ms=20") END,
		GET("/") END GET("/") END GET("/") END,
	};
	const char *request = begun[i % ARRAY_LEN(begun)];
	struct linger reset = { 1, 0 };
	int fd = server_connect();

	ck_assert_int_ge(fd, 0);
	put(fd, request, strlen(request));
	if (i / ARRAY_LEN(begun) % 2)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
}

/* Its sockets are as many as before, perhaps after a moment. */
static void has_closed_all(const char *model, int before)
{
	int now = 0;

	for (int i = 0; i < 6000; i++) {
		now = open_sockets();
		if (now <= before)
			return;
		usleep(10000);
	}
	ck_abort_msg("%s keeps %d sockets of clients that left", model,
		     now - before);
}

/* This makes the server create all that it keeps: clients can connect before
 * its runtime has started, which has a pair of sockets, too. */
static void has_answered(void)
{
	static const char request[] =
		GET("/wait?ms=1") "Connection: close\r\n" END;
	int fd = server_connect();
	char in[512];
	bool closed;

	put(fd, request, strlen(request));
	in[get(fd, in, sizeof(in) - 1, &closed)] = '\0';
	ck_assert_str_eq(in, CLOSE_ANSWER);
	close(fd);
}

static long resident_kb(void)
{
	sh("grep VmRSS: /proc/%d/status | tr -dc 0-9", server);
	return atol(text);
}

START_TEST(every_model_forgets_clients_that_leave)
{
	bool in_c = _i < 4;
	int before;
	long kb, grown = 0;

	if (!serving_plain(models[_i].name))
		return;
	leave(2);
	has_answered();
	before = open_sockets();
	/* Stacks and the like are kept for later clients, but a leak continues:
	 * 1000 connections would take at least 4 MB. */
	for (unsigned batch = 0; batch < 4; batch++) {
		kb = resident_kb();
		for (unsigned i = 0; i < 1000; i++)
			leave(i);
		has_closed_all(models[_i].name, before);
		grown = resident_kb() - kb;
		if (!in_c || SANITIZED || grown < 2000)
			break;
	}
	if (in_c && !SANITIZED)
		ck_assert_msg(grown < 2000, "%s grows by %ld KB",
			      models[_i].name, grown);
	stops_well(models[_i].name);
}
END_TEST

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static double cpu_s(pid_t pid)
{
	struct timespec ts;
	clockid_t clock;

	ck_assert(!clock_getcpuclockid(pid, &clock) &&
		  !clock_gettime(clock, &ts));
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

#define FEW 64 /* descriptors */

/* More clients than descriptors: the server does not spin on those that it
 * cannot accept, says so in a few lines at most, and accepts them when others
 * have left. */
START_TEST(every_model_rests_while_descriptors_are_short)
{
	double cpu = 1, begin;
	int fds[2 * FEW];
	struct stat said;
	bool closed;
	char in[64];

	server_descriptors = FEW;
	server_log = "short.log";
	if (!serving_plain(models[_i].name))
		return;
	for (int i = 0; i < 2 * FEW; i++)
		fds[i] = server_connect();
	/* Wall time of a client against CPU time of the server: half means a
	 * spin. A runtime that still compiles gets more rounds. */
	for (int i = 0; i < 10 && cpu > 0.15; i++) {
		cpu = cpu_s(server);
		begin = now_s();
		while (now_s() - begin < 0.3)
			usleep(10000);
		cpu = cpu_s(server) - cpu;
	}
	ck_assert_msg(SANITIZED || cpu < 0.15, "%s uses %.2f s of CPU in 0.3 s",
		      models[_i].name, cpu);
	for (int i = 0; i < 2 * FEW; i++)
		close(fds[i]);
	for (int i = 0; i < 3000; i++) {
		fds[0] = server_connect();
		ck_assert_int_ge(fds[0], 0);
		put(fds[0], GET("/") END, strlen(GET("/") END));
		if (get(fds[0], in, strlen(OK_ANSWER), &closed))
			break;
		close(fds[0]);
	}
	ck_assert(!closed);
	close(fds[0]);
	stops_well(models[_i].name);
	ck_assert_int_eq(stat(server_log, &said), 0);
	ck_assert_msg(said.st_size < 1000, "%s: %ld bytes in %s",
		      models[_i].name, (long)said.st_size, server_log);
	unlink(server_log);
}
END_TEST

/* ---- programs of other languages ---- */

/* Runs node's server for a request with this HOME. Returns where it was
 * unpacked. */
static void unpacked_in(const char *home, char *path, size_t size)
{
	int port = net_free_port();

	ck_assert_int_eq(
		sh("env -u XDG_CACHE_HOME -u HOME %s%s ./urt serve node "
		   "--port %d >/dev/null & pid=$!; ./urt load --wait 20 -n 1 "
		   "http://127.0.0.1:%d/ >/dev/null; "
		   "tr '\\0' '\\n' </proc/$pid/cmdline | grep node.cjs; "
		   "kill $pid",
		   home ? "HOME=" : "", home ? home : "", port, port),
		0);
	text[strcspn(text, "\n")] = '\0';
	snprintf(path, size, "%.400s", text);
}

/* Such a directory is removed when its server is gone. */
static void is_temporary(const char *path)
{
	ck_assert_msg(!strncmp(path, "/tmp/urt-cache-", 15), "%s", path);
	ck_assert_int_eq(sh("timeout 90 sh -c 'while [ -e $(dirname %s) ]; do "
			    "sleep 0.02; done'",
			    path),
			 0);
}

/* Unpacked programs are run, so no other user may be able to write there. */
START_TEST(models_are_unpacked_where_only_we_can_write)
{
	static const char *const unsafe[] = {
		"home-open",	   /* all may write to it */
		"home-open/inner", /* all users may rename it */
		"home-link",	   /* a link to the first one */
		"home-cache-open", /* only .cache is open */
	};
	char path[512], here[256], home[300];

	if (not_here("node"))
		SKIP("Node is not installed");
	ck_assert_int_eq(sh("rm -rf home-*; mkdir -m 700 home-ours; "
			    "mkdir -p home-open/inner home-cache-open/.cache; "
			    "chmod 777 home-open home-cache-open/.cache; "
			    "chmod 700 home-open/inner; "
			    "ln -s home-open home-link; pwd"),
			 0);
	text[strcspn(text, "\n")] = '\0';
	snprintf(here, sizeof(here), "%.200s", text);
	snprintf(home, sizeof(home), "%s/home-ours", here);
	unpacked_in(home, path, sizeof(path));
	ck_assert_msg(!strncmp(path, home, strlen(home)) ||
			      !strncmp(path, "/tmp/urt-cache-", 15),
		      "%s", path);
	for (unsigned i = 0; i < ARRAY_LEN(unsafe); i++) {
		snprintf(home, sizeof(home), "%s/%s", here, unsafe[i]);
		unpacked_in(home, path, sizeof(path));
		is_temporary(path);
	}
	unpacked_in(NULL, path, sizeof(path));
	is_temporary(path);
	if (!geteuid()) { /* as under a sudo that keeps HOME */
		sh("chown 12345 home-ours");
		snprintf(home, sizeof(home), "%s/home-ours", here);
		unpacked_in(home, path, sizeof(path));
		is_temporary(path);
	}
	sh("rm -rf home-*");
}
END_TEST

/* ---- Redis ---- */

static pid_t redis;
static int redis_port;

static void redis_start(void)
{
	char port[8];

	redis_port = net_free_port();
	snprintf(port, sizeof(port), "%d", redis_port);
	redis = fork();
	if (!redis) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(1);
		execlp("redis-server", "redis-server", "--port", port, "--bind",
		       "127.0.0.1", "--save", "", "--daemonize", "no", NULL);
		_exit(127);
	}
	for (int i = 0; i < 500; i++) {
		int http_port = server_port, fd;

		server_port = redis_port;
		fd = server_connect();
		server_port = http_port;
		if (fd >= 0) {
			close(fd);
			return;
		}
		usleep(10000);
	}
	ck_abort_msg("redis-server does not listen");
}

/* Redis' answer to a command. */
static void redis_says(const char *command, char *in, size_t size)
{
	int port = server_port, fd;
	bool closed;

	server_port = redis_port;
	fd = server_connect();
	server_port = port;
	ck_assert_int_ge(fd, 0);
	put(fd, command, strlen(command));
	shutdown(fd, SHUT_WR);
	in[get(fd, in, size - 1, &closed)] = '\0';
	close(fd);
}

/* Redis may not have seen yet that a connection was closed. */
static void connected_to_redis(int most)
{
	char in[8192];
	int n = 0;

	for (int i = 0; i < 600; i++) {
		redis_says("INFO clients\r\n", in, sizeof(in));
		ck_assert_ptr_nonnull(strstr(in, "connected_clients:"));
		n = atoi(strstr(in, "connected_clients:") + 18);
		if (n <= most)
			return;
		usleep(100000);
	}
	ck_abort_msg("%d connections to Redis, %d are enough", n, most);
}

/* More clients than connections: some wait in line, and all are answered. */
START_TEST(every_model_shares_its_connections_to_redis)
{
	char url[64], in[8192];
	bool closed;
	int fd;

	if (model_is(&models[_i], MODEL_TLS))
		return;
	if (sh("command -v redis-server >/dev/null") ||
	    not_here(models[_i].name)) {
		fprintf(stderr, "SKIP %s with Redis: not installed\n",
			models[_i].name);
		return;
	}
	redis_start();
	snprintf(url, sizeof(url), "redis://127.0.0.1:%d", redis_port);
	server_start(models[_i].name, "--backend", url);
	ck_assert_int_eq(sh("./urt load --json -c 150 -n 3000 "
			    "'http://127.0.0.1:%d/wait?ms=512' 2>/dev/null",
			    server_port),
			 0);
	ck_assert(figure(NULL, "errors") == 0);
	ck_assert(figure(NULL, "requests") > 150);
	redis_says("GET urt:512\r\n", in, sizeof(in));
	ck_assert_str_eq(in, "$3\r\n512\r\n");
	for (unsigned i = 0; i < 200; i++)
		leave(i);
	connected_to_redis(66);
	kill(redis, SIGKILL);
	waitpid(redis, NULL, 0);
	/* Without Redis, only a client that waits loses its connection. */
	fd = server_connect();
	put(fd, GET("/wait?ms=1") END, strlen(GET("/wait?ms=1") END));
	get(fd, in, sizeof(in), &closed);
	ck_assert_msg(closed, "%s does not hang up", models[_i].name);
	close(fd);
	stops_well(models[_i].name);
}
END_TEST

Suite *conformance_clients_suite(void)
{
	Suite *s = suite_create("conformance_clients");
	TCase *t = tcase_create("conformance_clients");
	int n = nr_models;

	tcase_set_timeout(t, 240);
	tcase_add_loop_test(
		t, every_model_waits_for_a_client_that_does_not_read, 0, n);
	tcase_add_loop_test(t, every_model_answers_a_client_that_has_said_all,
			    0, n);
	tcase_add_loop_test(t, every_model_forgets_clients_that_leave, 0, n);
	tcase_add_loop_test(t, every_model_rests_while_descriptors_are_short, 0,
			    n);
	tcase_add_loop_test(t, every_model_shares_its_connections_to_redis, 0,
			    n);
	tcase_add_test(t, models_are_unpacked_where_only_we_can_write);
	suite_add_tcase(s, t);
	return s;
}
