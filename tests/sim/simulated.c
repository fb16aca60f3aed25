// SPDX-License-Identifier: MIT
/* `simulated NAME` uses one feature that the simulator implements itself, as other
 * programs do; without a name, it lists the features. */
#define _GNU_SOURCE
#include "../../uring_rt/urt.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MS   INT64_C(1000000)
#define LONG (1 << 20) /* bytes: more than a pipe or a socket holds */

#define NEED(cond) need(cond, #cond, __LINE__)

static void need(bool ok, const char *what, int line)
{
	if (ok)
		return;
	fprintf(stderr, "line %d: %s does not hold\n", line, what);
	_exit(1);
}

static void join(pthread_t t)
{
	NEED(!pthread_join(t, NULL));
}

static pthread_t start(void *(*fn)(void *), void *arg)
{
	pthread_t t;

	NEED(!pthread_create(&t, NULL, fn, arg));
	return t;
}

/* ---- datagrams --------------------------------------------------------- */

static int udp_socket(struct sockaddr_in *at)
{
	int fd = urt_socket(AF_INET, SOCK_DGRAM, 0);
	socklen_t len = sizeof(*at);

	*at = (struct sockaddr_in){ .sin_family = AF_INET };
	inet_pton(AF_INET, "127.0.0.1", &at->sin_addr);
	NEED(fd >= 0 && !urt_bind(fd, (void *)at, len));
	NEED(!getsockname(fd, (void *)at, &len) && at->sin_port);
	return fd;
}

static struct sockaddr_in server_at;
static int server;

static void echoes_datagrams(void *arg)
{
	struct sockaddr_in from;
	char buf[64];

	for (int i = 0; i < 4; i++) {
		socklen_t len = sizeof(from);
		ssize_t n = urt_recvfrom(server, buf, sizeof(buf), 0,
					 (void *)&from, &len, URT_NEVER);

		NEED(n == 3);
		NEED(urt_sendto(server, buf, n, 0, (void *)&from, len,
				URT_NEVER) == n);
	}
}

static void datagrams(void *arg)
{
	struct sockaddr_in at, from;
	char out[2][4] = { "one", "two" }, in[2][8];
	struct iovec v[4] = {
		{ out[0], 3 }, { out[1], 3 }, { in[0], 8 }, { in[1], 8 }
	};
	struct mmsghdr m[2] = {
		{ .msg_hdr = { .msg_iov = &v[0], .msg_iovlen = 1 } },
		{ .msg_hdr = { .msg_iov = &v[1], .msg_iovlen = 1 } }
	};
	struct urt_coro *c;
	int fd = udp_socket(&at);
	socklen_t len = sizeof(from);

	server = udp_socket(&server_at);
	c = urt_spawn(echoes_datagrams, NULL);
	for (int i = 0; i < 2; i++) {
		NEED(urt_sendto(fd, "abc", 3, 0, (void *)&server_at,
				sizeof(server_at), URT_NEVER) == 3);
		NEED(urt_recvfrom(fd, in[0], 8, 0, (void *)&from, &len,
				  URT_NEVER) == 3);
		NEED(from.sin_port == server_at.sin_port);
	}
	NEED(!urt_connect(fd, (void *)&server_at, sizeof(server_at),
			  URT_NEVER));
	NEED(sendmmsg(fd, m, 2, 0) == 2);
	urt_join(c);
	m[0].msg_hdr.msg_iov = &v[2];
	m[1].msg_hdr.msg_iov = &v[3];
	NEED(recvmmsg(fd, m, 2, 0, NULL) == 2 && m[1].msg_len == 3);
	NEED(!memcmp(in[0], "one", 3) && !memcmp(in[1], "two", 3));
}

/* ---- plain threads on descriptors --------------------------------------- */

static char whole[LONG];

static void *writes_much(void *arg)
{
	int fd = *(int *)arg;
	struct iovec v[2] = { { whole, LONG / 2 },
			      { whole + LONG / 2, LONG / 2 } };

	NEED(write(fd, whole, LONG) == LONG);
	NEED(writev(fd, v, 2) == LONG);
	close(fd);
	return NULL;
}

static void reads_much(int fd)
{
	static char buf[10000];
	size_t sum = 0;
	ssize_t n;

	while ((n = urt_read(fd, buf, sizeof(buf), URT_NEVER)) > 0)
		sum += n;
	NEED(!n && sum == 2 * LONG);
}

static void long_writes(void *arg)
{
	int fds[2];
	pthread_t t;

	NEED(!urt_pipe(fds, O_CLOEXEC));
	t = start(writes_much, &fds[1]);
	reads_much(fds[0]);
	join(t);
	NEED(!socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	t = start(writes_much, &fds[1]);
	reads_much(fds[0]);
	join(t);
}

static void *reads_whole(void *arg)
{
	static char buf[LONG];

	NEED(recv(*(int *)arg, buf, LONG, MSG_WAITALL) == LONG);
	return NULL;
}

static void long_reads(void *arg)
{
	int fds[2];
	pthread_t t;

	NEED(!socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	t = start(reads_whole, &fds[0]);
	for (size_t at = 0; at < LONG; at += LONG / 8)
		NEED(urt_send(fds[1], whole, LONG / 8, MSG_WAITALL, URT_NEVER) >
		     0);
	join(t);
}

static void sends_bit_by_bit(void *arg)
{
	int fd = urt_dial("127.0.0.1:7000", URT_NEVER);

	for (int i = 0; i < 16; i++) {
		NEED(urt_send(fd, "x", 1, 0, URT_NEVER) == 1);
		urt_sleep(MS);
	}
	urt_close(fd);
}

static void whole_messages(void *arg)
{
	int listener = urt_listen("127.0.0.1:7000", URT_NEVER), fd;
	struct urt_coro *c = urt_spawn(sends_bit_by_bit, NULL);
	char buf[10];

	fd = urt_accept(listener, NULL, NULL, 0, URT_NEVER);
	NEED(urt_recv(fd, buf, 10, MSG_WAITALL, URT_NEVER) == 10);
	NEED(urt_recv(fd, buf, 10, MSG_WAITALL, urt_after(2 * MS)) <= 6);
	while (urt_recv(fd, buf, 10, MSG_WAITALL, URT_NEVER) > 0)
		;
	urt_join(c);
}

static void *answers_by_a_copy(void *arg)
{
	int fd = dup(*(int *)arg);
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);
	char c;

	close(*(int *)arg);
	NEED(!getpeername(fd, (void *)&peer, &len));
	NEED(peer.sin_family == AF_INET);
	NEED(read(fd, &c, 1) == 1 && write(fd, &c, 1) == 1);
	close(fd);
	return NULL;
}

static void copies_of_sockets(void *arg)
{
	int listener = urt_listen("127.0.0.1:7000", URT_NEVER);
	int fd = urt_dial("127.0.0.1:7000", URT_NEVER), other;
	pthread_t t;
	char c = 'c';

	other = urt_accept(listener, NULL, NULL, 0, URT_NEVER);
	t = start(answers_by_a_copy, &other);
	NEED(urt_send(fd, &c, 1, 0, URT_NEVER) == 1);
	NEED(urt_recv(fd, &c, 1, 0, URT_NEVER) == 1);
	join(t);
	NEED(!urt_recv(fd, &c, 1, 0, URT_NEVER));
	other = fcntl(fd, F_DUPFD_CLOEXEC, 100);
	NEED(other >= 100 && dup2(other, 200) == 200);
}

static void *polls_by_epoll(void *arg)
{
	struct epoll_event e = { .events = EPOLLIN };
	int ep = epoll_create1(0);

	NEED(!epoll_ctl(ep, EPOLL_CTL_ADD, *(int *)arg, &e));
	NEED(!epoll_pwait(ep, &e, 1, 1, NULL)); /* 1 ms */
	NEED(epoll_pwait(ep, &e, 1, -1, NULL) == 1);
	return NULL;
}

static void epoll_of_a_thread(void *arg)
{
	int fds[2];
	pthread_t t;

	NEED(!urt_pipe(fds, 0));
	t = start(polls_by_epoll, &fds[0]);
	urt_sleep(100 * MS);
	NEED(urt_write(fds[1], "x", 1, URT_NEVER) == 1);
	join(t);
}

static int from[2], to[2];

static void moves(void *arg)
{
	NEED(urt_splice(from[0], NULL, to[1], NULL, 10, 0, URT_NEVER) == 5);
}

static void splices(void *arg)
{
	char buf[10];
	struct urt_coro *c;

	NEED(!urt_pipe(from, 0) && !urt_pipe(to, 0));
	c = urt_spawn(moves, NULL);
	urt_sleep(10 * MS);
	NEED(urt_write(from[1], "bytes", 5, URT_NEVER) == 5);
	NEED(urt_read(to[0], buf, 10, URT_NEVER) == 5);
	urt_join(c);
}

/* ---- threads that wait for each other ----------------------------------- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_spinlock_t spin;
static int turns;

static struct timespec in_ms(clockid_t clock, int ms)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	ts.tv_nsec += ms % 1000 * MS;
	ts.tv_sec += ms / 1000 + ts.tv_nsec / 1000000000;
	ts.tv_nsec %= 1000000000;
	return ts;
}

static void *holds_for_long(void *arg)
{
	pthread_mutex_lock(&mutex);
	pthread_barrier_wait(&barrier);
	usleep(3600 * 1000000u); /* an hour */
	pthread_mutex_unlock(&mutex);
	return NULL;
}

static int64_t joins(void *t)
{
	return pthread_join(*(pthread_t *)t, NULL);
}

static void deadlines_of_locks(void *arg)
{
	struct timespec soon;
	pthread_t t;

	pthread_barrier_init(&barrier, NULL, 2);
	t = start(holds_for_long, NULL);
	pthread_barrier_wait(&barrier);
	soon = in_ms(CLOCK_REALTIME, 1000);
	NEED(pthread_mutex_timedlock(&mutex, &soon) == ETIMEDOUT);
	soon = in_ms(CLOCK_MONOTONIC, 1000);
	NEED(pthread_mutex_clocklock(&mutex, CLOCK_MONOTONIC, &soon) ==
	     ETIMEDOUT);
	soon = in_ms(CLOCK_MONOTONIC, 7200000);
	NEED(!pthread_mutex_clocklock(&mutex, CLOCK_MONOTONIC, &soon));
	soon = in_ms(CLOCK_MONOTONIC, 3600000);
	NEED(pthread_cond_clockwait(&cond, &mutex, CLOCK_MONOTONIC, &soon) ==
	     ETIMEDOUT);
	pthread_mutex_unlock(&mutex);
	NEED(!urt_blocking(joins, &t));
}

static void *spins(void *arg)
{
	for (int i = 0; i < 10; i++) {
		pthread_spin_lock(&spin);
		usleep(10); /* another thread finds it taken */
		turns++;
		pthread_spin_unlock(&spin);
	}
	return NULL;
}

static void spin_locks(void *arg)
{
	pthread_t a, b;

	pthread_spin_init(&spin, 0);
	a = start(spins, NULL);
	b = start(spins, NULL);
	NEED(!urt_blocking(joins, &a) && !urt_blocking(joins, &b));
	NEED(turns == 20);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void takes_long(void)
{
	usleep(1000000);
	turns++;
}

static void *does_once(void *arg)
{
	pthread_once(&once, takes_long);
	NEED(turns == 1);
	return NULL;
}

static void initialisation(void *arg)
{
	pthread_t a = start(does_once, NULL), b = start(does_once, NULL);

	NEED(!urt_blocking(joins, &a) && !urt_blocking(joins, &b));
}

/* As C++'s std::future waits. */
static void futexes_until(void *arg)
{
	struct timespec soon = in_ms(CLOCK_REALTIME, 3600000);
	uint32_t word = 0;
	int64_t begin = urt_now();

	NEED(syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME,
		     0, &soon, NULL, FUTEX_BITSET_MATCH_ANY) == -1);
	NEED(errno == ETIMEDOUT && urt_now() - begin > 3599000 * MS);
}

static void *nothing(void *arg)
{
	return NULL;
}

/* Starts more threads than the simulator has entries, one after the other. */
static void detached_threads(void *arg)
{
	for (int i = 0; i < 1500; i++) {
		pthread_detach(start(nothing, NULL));
		urt_sleep(MS);
	}
}

/* ---- signals ------------------------------------------------------------ */

static void sends_signals(void *arg)
{
	urt_sleep(5 * MS);
	kill(getpid(), SIGUSR1);
	urt_sleep(5 * MS);
	raise(SIGUSR2);
	urt_sleep(5 * MS);
	sigqueue(getpid(), SIGUSR1, (union sigval){ .sival_int = 7 });
}

static void signals(void *arg)
{
	int fd = urt_signal_open(SIGUSR1, SIGUSR2, 0);
	struct urt_coro *c = urt_spawn(sends_signals, NULL);
	siginfo_t info;

	NEED(urt_signal_wait(fd, &info, URT_NEVER) == SIGUSR1);
	NEED(info.si_code == SI_USER && info.si_pid == getpid());
	NEED(urt_signal_wait(fd, NULL, URT_NEVER) == SIGUSR2);
	NEED(urt_signal_wait(fd, &info, URT_NEVER) == SIGUSR1);
	NEED(info.si_value.sival_int == 7);
	urt_join(c);
	urt_signal_close(fd);
}

static volatile sig_atomic_t came;

static void on_signal(int sig)
{
	came = sig;
}

static void *waits_for_signal(void *arg)
{
	while (!came)
		usleep(1000000);
	return NULL;
}

static void signal_to_a_thread(void *arg)
{
	pthread_t t;

	signal(SIGUSR1, on_signal);
	t = start(waits_for_signal, NULL);
	urt_sleep(10 * MS);
	NEED(!pthread_kill(t, SIGUSR1));
	join(t);
}

/* ---- clocks ------------------------------------------------------------- */

static void clocks(void *arg)
{
	struct timespec a, b;

	NEED(timespec_get(&a, TIME_UTC) == TIME_UTC);
	urt_sleep(1000 * MS);
	clock_gettime(CLOCK_REALTIME, &b);
	NEED(b.tv_sec - a.tv_sec >= 1 && b.tv_sec - a.tv_sec <= 2);
	NEED(clock() >= 0 && clock() < CLOCKS_PER_SEC);
}

/* ---- child processes, which are real ------------------------------------ */

static void child_processes(void *arg)
{
	const char *const argv[] = { "cat", NULL };
	struct urt_command c = { .argv = argv,
				 .in = URT_PIPE,
				 .out = URT_PIPE };
	struct urt_process p;
	char buf[8];

	NEED(!urt_process_start(&p, &c));
	urt_sleep(MS);
	NEED(urt_write(p.in, "hello", 5, URT_NEVER) == 5);
	NEED(urt_read(p.out, buf, 8, URT_NEVER) == 5);
	NEED(!urt_close(p.in));
	p.in = -1;
	NEED(!urt_process_wait(&p, urt_after(60000 * MS)));
	NEED(!urt_process_close(&p));
}

static const struct {
	const char *name;
	urt_fn *fn;
} things[] = {
	{ "datagrams", datagrams },
	{ "long_writes", long_writes },
	{ "long_reads", long_reads },
	{ "whole_messages", whole_messages },
	{ "copies_of_sockets", copies_of_sockets },
	{ "epoll_of_a_thread", epoll_of_a_thread },
	{ "splices", splices },
	{ "deadlines_of_locks", deadlines_of_locks },
	{ "spin_locks", spin_locks },
	{ "initialisation", initialisation },
	{ "futexes_until", futexes_until },
	{ "detached_threads", detached_threads },
	{ "signals", signals },
	{ "signal_to_a_thread", signal_to_a_thread },
	{ "clocks", clocks },
	{ "child_processes", child_processes },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(things) / sizeof(*things); i++) {
		if (argc < 2)
			puts(things[i].name);
		else if (!strcmp(things[i].name, argv[1]))
			return -urt_run(things[i].fn, NULL);
	}
	return argc > 1;
}
