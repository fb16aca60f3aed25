// SPDX-License-Identifier: MIT
/*
 * Eleven small servers, each with one known kind of concurrency fault, for the
 * simulator to find. `servers NAME` has the fault, `servers NAME repaired` has not, and
 * `servers` lists the names. A broken invariant is printed, and ends the program with
 * status 1; some faults are hangs.
 */
#define _GNU_SOURCE
#include "../../uring_rt/urt.h"
#include <dirent.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define MS	INT64_C(1000000)
#define ADDRESS "127.0.0.1:7000"

static bool repaired;

static void wrong(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	_exit(1);
}

static void need(bool ok, const char *what)
{
	if (!ok)
		wrong("cannot %s", what);
}

static void join_all(struct urt_coro **c, int n)
{
	for (int i = 0; i < n; i++)
		urt_join(c[i]);
}

/* Sends a byte through a pipe, which may take any time. */
static void some_io(void)
{
	int fds[2];

	need(!urt_pipe(fds, 0), "make a pipe");
	urt_write(fds[1], "x", 1, URT_NEVER);
	urt_read(fds[0], &(char){ 0 }, 1, URT_NEVER);
	urt_close(fds[0]);
	urt_close(fds[1]);
}

static int listen_here(void)
{
	int fd = urt_listen(ADDRESS, URT_NEVER);

	need(fd >= 0, "listen");
	return fd;
}

static int dial_here(void)
{
	int fd = urt_dial(ADDRESS, URT_NEVER);

	need(fd >= 0, "dial");
	return fd;
}

/* ---- a signal is lost: the state is checked outside the lock ------------ */

static struct urt_mutex mutex = URT_MUTEX_INIT, other = URT_MUTEX_INIT;
static struct urt_cond cond = URT_COND_INIT;
static bool is_ready;

static void loads_configuration(void *arg)
{
	some_io();
	urt_mutex_lock(&mutex, URT_NEVER);
	is_ready = true;
	urt_cond_signal(&cond);
	urt_mutex_unlock(&mutex);
}

static void lost_signal(void *arg)
{
	struct urt_coro *c = urt_spawn(loads_configuration, NULL);

	if (!repaired && !is_ready) {
		some_io(); /* the log */
		urt_mutex_lock(&mutex, URT_NEVER);
		urt_cond_wait(&cond, &mutex, URT_NEVER);
		urt_mutex_unlock(&mutex);
	}
	urt_mutex_lock(&mutex, URT_NEVER);
	while (!is_ready)
		urt_cond_wait(&cond, &mutex, URT_NEVER);
	urt_mutex_unlock(&mutex);
	urt_join(c);
}

/* ---- closed twice: by the end of a connection and by its timeout -------- */

struct connection {
	int fd;
	bool closed;
};

static void close_once(struct connection *c)
{
	if (repaired && c->closed)
		return;
	c->closed = true;
	if (urt_close(c->fd) < 0)
		wrong("descriptor %d was closed already", c->fd);
}

static void closes_idle(void *arg)
{
	urt_sleep(5 * MS);
	close_once(arg);
}

static void says_little(void *arg)
{
	int fd = dial_here();

	for (int i = 0; i < 3; i++)
		urt_send(fd, "x", 1, MSG_NOSIGNAL, URT_NEVER);
	urt_close(fd);
}

static void double_close(void *arg)
{
	int listener = listen_here();
	struct urt_coro *client = urt_spawn(says_little, NULL), *timer;
	struct connection c = { .fd = urt_accept(listener, NULL, NULL, 0,
						 URT_NEVER) };
	char buf[8];

	timer = urt_spawn(closes_idle, &c);
	while (urt_recv(c.fd, buf, sizeof(buf), 0, URT_NEVER) > 0)
		;
	close_once(&c);
	urt_join(timer);
	urt_join(client);
	urt_close(listener);
}

/* ---- a request is used after its owner gave up and freed it ------------- */

struct request {
	int live, users;
	char answer;
	struct urt_sem done;
};

static struct request requests[16];

static void put(struct request *r)
{
	if (!--r->users)
		r->live = 0;
}

static void answers(void *arg)
{
	struct request *r = arg;

	some_io(); /* the database */
	if (!r->live)
		wrong("an answer was written to a request that is gone");
	r->answer = 'a';
	urt_sem_post(&r->done);
	put(r);
}

static void use_after_cancel(void *arg)
{
	struct urt_coro *c[16];

	for (int i = 0; i < 16; i++) {
		struct request *r = &requests[i];

		r->live = 1;
		r->users = repaired ? 2 : 1;
		c[i] = urt_spawn(answers, r);
		urt_sem_wait(&r->done, urt_after(10 * MS));
		if (repaired)
			put(r);
		else
			r->live = 0;
	}
	join_all(c, 16);
}

/* ---- deadlock by the order of two locks --------------------------------- */

static void transfers(void *arg)
{
	bool back = arg && !repaired;

	for (int i = 0; i < 10; i++) {
		urt_mutex_lock(back ? &other : &mutex, URT_NEVER);
		some_io(); /* the log */
		urt_mutex_lock(back ? &mutex : &other, URT_NEVER);
		urt_mutex_unlock(&other);
		urt_mutex_unlock(&mutex);
		urt_sleep(MS);
	}
}

static void lock_order(void *arg)
{
	struct urt_coro *c[] = { urt_spawn(transfers, NULL),
				 urt_spawn(transfers, &mutex) };

	join_all(c, 2);
}

/* ---- a descriptor is leaked when a deadline passes ---------------------- */

static int count_sockets(void)
{
	DIR *d = opendir("/proc/self/fd");
	char path[300], to[16];
	struct dirent *e;
	int n = 0;

	need(d, "list descriptors");
	while ((e = readdir(d))) {
		snprintf(path, sizeof(path), "/proc/self/fd/%s", e->d_name);
		n += readlink(path, to, sizeof(to)) > 7 &&
		     !memcmp(to, "socket:", 7);
	}
	closedir(d);
	return n;
}

static int greets(void)
{
	int fd = dial_here(), n;
	char buf[8];

	n = urt_recv(fd, buf, sizeof(buf), 0, urt_after(12 * MS));
	if (n < 0 && !repaired)
		return n; /* the fault: fd stays open */
	urt_close(fd);
	return 0;
}

static void greeter(int fd, void *arg)
{
	urt_send(fd, "hello", 5, MSG_NOSIGNAL, URT_NEVER);
}

static void leak(void *arg)
{
	struct urt_scope s;
	int listener = listen_here(), before;

	urt_scope_open(&s, URT_NEVER);
	urt_serve(&s, listener, greeter, NULL);
	before = count_sockets();
	for (int i = 0; i < 10; i++)
		greets();
	urt_scope_cancel(&s);
	urt_scope_close(&s);
	if (count_sockets() > before)
		wrong("%d sockets before, %d now", before, count_sockets());
	urt_close(listener);
}

/* ---- a check before a wait no longer holds after it --------------------- */

static int stock = 3;

static void buys(void *arg)
{
	if (stock < 1)
		return;
	if (repaired)
		stock--;
	some_io(); /* the log */
	if (!repaired)
		stock--;
	if (stock < 0)
		wrong("%d in stock", stock);
}

static void check_then_act(void *arg)
{
	struct urt_coro *c[6];

	for (int i = 0; i < 6; i++) {
		c[i] = urt_spawn(buys, NULL);
		urt_sleep(5 * MS);
	}
	join_all(c, 6);
}

/* ---- close wakes only one of the waiters -------------------------------- */

static bool closed;

static void consumes(void *arg)
{
	urt_mutex_lock(&mutex, URT_NEVER);
	while (!closed)
		urt_cond_wait(&cond, &mutex, URT_NEVER);
	urt_mutex_unlock(&mutex);
}

static void comes_late(void *arg)
{
	some_io();
	consumes(arg);
}

static void forgotten_wake(void *arg)
{
	struct urt_coro *c[2] = { urt_spawn(consumes, NULL),
				  urt_spawn(comes_late, NULL) };

	some_io();
	urt_mutex_lock(&mutex, URT_NEVER);
	closed = true;
	if (repaired)
		urt_cond_broadcast(&cond);
	else
		urt_cond_signal(&cond);
	urt_mutex_unlock(&mutex);
	join_all(c, 2);
}

/* ---- ABA: the descriptor has another owner when it is used -------------- */

struct member {
	int fd;
	unsigned generation;
};

static struct member room;
static unsigned generations;

static void announces(void *arg)
{
	struct member m = room;

	some_io(); /* the log */
	if (repaired && m.generation != generations)
		return;
	urt_send(m.fd, "private", 7, MSG_NOSIGNAL | MSG_DONTWAIT, URT_NEVER);
}

static void aba(void *arg)
{
	struct urt_coro *c;
	char buf[8];
	int fds[2];

	need(!socketpair(AF_UNIX, SOCK_STREAM, 0, fds), "make sockets");
	room = (struct member){ fds[0], generations };
	c = urt_spawn(announces, NULL);
	urt_sleep(2 * MS);
	generations++; /* the member leaves, and a stranger comes */
	urt_close(fds[0]);
	urt_close(fds[1]);
	need(!socketpair(AF_UNIX, SOCK_STREAM, 0, fds), "make sockets");
	urt_join(c);
	if (urt_recv(fds[1], buf, sizeof(buf), MSG_DONTWAIT, URT_NEVER) > 0)
		wrong("a stranger has read what was private");
	urt_close(fds[0]);
	urt_close(fds[1]);
}

/* ---- the less urgent never have a turn ---------------------------------- */

static struct urt_chan *urgent, *patient;
static int64_t patient_since;
static bool patient_done;

static void is_urgent(void *arg)
{
	for (int i = 0; i < 400 && !patient_done; i++) {
		urt_chan_send(urgent, &i, URT_NEVER);
		urt_sleep(MS / 2);
	}
}

static void serves(void *arg)
{
	for (int i = 0, v; !patient_done; i++) {
		bool fair = repaired && i % 4 == 3;

		if (!fair && !urt_chan_recv(urgent, &v, urt_after(20 * MS))) {
			urt_sleep(MS); /* the work */
			continue;
		}
		if (urt_chan_recv(patient, &v, urt_after(0)) < 0)
			continue;
		patient_done = true;
		if (urt_now() - patient_since > 300 * MS)
			wrong("it waited for %lld ms",
			      (long long)(urt_now() - patient_since) / MS);
	}
}

static void starvation(void *arg)
{
	struct urt_coro *c[3];
	int v = 0;

	urgent = urt_chan_new(sizeof(int), 8);
	patient = urt_chan_new(sizeof(int), 8);
	c[0] = urt_spawn(is_urgent, NULL);
	c[1] = urt_spawn(serves, NULL);
	patient_since = urt_now();
	urt_chan_send(patient, &v, URT_NEVER);
	c[2] = urt_spawn(is_urgent, NULL);
	urt_join(c[1]);
	while (urt_chan_recv(urgent, &v, urt_after(0)) == 0)
		;
	join_all((struct urt_coro *[]){ c[0], c[2] }, 2);
}

/* ---- each step keeps its limit, but all together take too long ---------- */

static void missed_deadline(void *arg)
{
	int64_t begin = urt_now(), until = urt_after(20 * MS);
	int fds[2], ret = 0;

	need(!urt_pipe(fds, 0), "make a pipe");
	for (int i = 0; i < 4 && ret >= 0; i++) {
		urt_write(fds[1], "x", 1, URT_NEVER);
		ret = urt_read(fds[0], &(char){ 0 }, 1,
			       repaired ? until : urt_after(20 * MS));
		if (repaired && urt_now() > until)
			ret = -ETIME;
	}
	if (ret >= 0 && urt_now() - begin > 20 * MS + MS)
		wrong("answered after %lld us, and 20000 were promised",
		      (long long)(urt_now() - begin) / 1000);
}

/* ---- a message is expected in one piece ---------------------------------- */

static void greets_by_header(void *arg)
{
	int fd = dial_here();

	urt_send(fd, "16 bytes, header", 16, MSG_NOSIGNAL, URT_NEVER);
	urt_close(fd);
}

static void one_piece(void *arg)
{
	struct urt_coro *c;
	int listener = listen_here(), fd;
	ssize_t n = 1, sum = 0;
	char buf[16];

	c = urt_spawn(greets_by_header, NULL);
	fd = urt_accept(listener, NULL, NULL, 0, URT_NEVER);
	do {
		n = urt_recv(fd, buf + sum, sizeof(buf) - sum, 0, URT_NEVER);
		sum += n;
	} while (repaired && n > 0 && sum < 16);
	if (sum != 16)
		wrong("a header of %zd bytes", sum);
	urt_join(c);
	urt_close(fd);
	urt_close(listener);
}

/* ---- other programs for the simulator ------------------------------------ */

/* Waits for a byte that never comes, with a request in flight. */
static void silence(void *arg)
{
	int fds[2];

	need(!urt_pipe(fds, 0), "make a pipe");
	urt_read(fds[0], &(char){ 0 }, 1, URT_NEVER);
}

/* Does the same after some work, in each of many coroutines. */
static void works_and_waits(void *arg)
{
	some_io();
	silence(arg);
}

static void silences(void *arg)
{
	struct urt_coro *c[8];

	for (int i = 0; i < 8; i++)
		c[i] = urt_spawn(works_and_waits, NULL);
	join_all(c, 8);
}

static void hour(void *arg)
{
	for (int i = 0; i < 3600; i++)
		urt_sleep(1000 * MS);
}

static void yields(void *arg)
{
	for (int i = 0; i < 500000; i++)
		urt_yield();
}

static void million(void *arg)
{
	struct urt_coro *c[2] = { urt_spawn(yields, NULL),
				  urt_spawn(yields, NULL) };

	join_all(c, 2);
}

static void echoes(int fd, void *arg)
{
	char buf[1000];
	ssize_t n;

	while ((n = urt_recv(fd, buf, sizeof(buf), 0, URT_NEVER)) > 0)
		if (urt_send(fd, buf, n, MSG_NOSIGNAL, URT_NEVER) < 0)
			break;
}

/* The exit status tells of a broken connection. */
static void talk(void *arg)
{
	static char buf[1000];
	struct urt_scope s;
	int listener = listen_here(), fd;
	ssize_t n = 0, got = 0;

	urt_scope_open(&s, URT_NEVER);
	urt_serve(&s, listener, echoes, NULL);
	fd = dial_here();
	for (int i = 0; i < 20 && n >= 0; i++) {
		n = urt_send(fd, buf, sizeof(buf), MSG_NOSIGNAL, URT_NEVER);
		for (got = 0; n > 0 && got < (ssize_t)sizeof(buf); got += n)
			n = urt_recv(fd, buf, sizeof(buf), 0, URT_NEVER);
		if (n <= 0)
			wrong("connection reset");
	}
	urt_close(fd);
	urt_scope_cancel(&s);
	urt_scope_close(&s);
	urt_close(listener);
}

/* Makes connections, some of which begin during a partition. */
static void redial(void *arg)
{
	struct urt_scope s;
	int listener = listen_here(), fd;
	char c = 'c';

	urt_scope_open(&s, URT_NEVER);
	urt_serve(&s, listener, echoes, NULL);
	for (int i = 0; i < 10; i++) {
		fd = dial_here();
		if (urt_send(fd, &c, 1, MSG_NOSIGNAL, URT_NEVER) != 1 ||
		    urt_recv(fd, &c, 1, 0, URT_NEVER) != 1)
			wrong("connection reset");
		urt_close(fd);
	}
	urt_scope_cancel(&s);
	urt_scope_close(&s);
	urt_close(listener);
}

static void sync_log(void *arg)
{
	int fd = memfd_create("log", 0);

	need(urt_write(fd, "x", 1, URT_NEVER) == 1, "write");
	need(!urt_fsync(fd, URT_NEVER), "sync");
	urt_close(fd);
}

/* Hangs, and takes the signal that makes the runtime report hangs. */
static void deaf(void *arg)
{
	int fd = urt_signal_open(SIGQUIT, 0);

	urt_signal_wait(fd, NULL, URT_NEVER);
	silence(arg);
}

static const struct {
	const char *name;
	urt_fn *fn;
} others[] = {
	{ "silence", silence }, { "silences", silences }, { "deaf", deaf },
	{ "redial", redial },	{ "sync", sync_log },	  { "hour", hour },
	{ "million", million }, { "talk", talk },
};

static const struct {
	const char *name;
	urt_fn *fn;
} servers[] = {
	{ "lost_signal", lost_signal },
	{ "double_close", double_close },
	{ "use_after_cancel", use_after_cancel },
	{ "lock_order", lock_order },
	{ "leak", leak },
	{ "check_then_act", check_then_act },
	{ "forgotten_wake", forgotten_wake },
	{ "aba", aba },
	{ "starvation", starvation },
	{ "missed_deadline", missed_deadline },
	{ "one_piece", one_piece },
};

int main(int argc, char **argv)
{
	repaired = argc > 2 && !strcmp(argv[2], "repaired");
	for (size_t i = 0; i < sizeof(servers) / sizeof(*servers); i++) {
		if (argc < 2)
			puts(servers[i].name);
		else if (!strcmp(servers[i].name, argv[1]))
			return -urt_run(servers[i].fn, NULL);
	}
	for (size_t i = 0; argc > 1 && i < sizeof(others) / sizeof(*others);
	     i++)
		if (!strcmp(others[i].name, argv[1]))
			return -urt_run(others[i].fn, NULL);
	return argc > 1;
}
