// SPDX-License-Identifier: MIT
/*
 * The backend: a plain epoll loop with the runtime's timer heap. It is the same
 * for all models, and is not measured.
 */
#define _GNU_SOURCE
#include "backend.h"
#include "../../uring_rt/sched/timers.h"
#include "server.h"
#include "../lib/launch.h"
#include "../lib/net.h"
#include "../lib/tool.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

struct conn {
	int fd;	       /* -1: a listening socket's */
	int listen_fd; /* then that one */
	bool waiting;  /* its timer is set; only the timer frees it */
	bool closed;
	size_t len;   /* in buf */
	char buf[16]; /* the request */
};

static struct urt__timers timers;
static struct backend_counts *counts; /* see backend_serve */
static struct conn signals;	      /* listen_fd: a signalfd for SIGUSR1 */

static void count_waiting(int change)
{
	__atomic_fetch_add(&counts->waiting, change, __ATOMIC_RELAXED);
	if (change > 0)
		__atomic_fetch_add(&counts->served, 1, __ATOMIC_RELAXED);
}

static void conn_close(struct conn *c)
{
	close(c->fd);
	c->closed = true;
	if (!c->waiting)
		free(c);
	else
		count_waiting(-1);
}

static void reply(uint64_t what)
{
	struct conn *c = (struct conn *)(uintptr_t)what;

	c->waiting = false;
	if (c->closed) {
		free(c);
		return;
	}
	count_waiting(-1);
	if (send(c->fd, BACKEND_REPLY, strlen(BACKEND_REPLY), MSG_NOSIGNAL) < 0)
		shutdown(c->fd, SHUT_RDWR); /* the loop sees the end */
}

static bool live(uint64_t what)
{
	return true; /* its timer frees it */
}

/* When the request is answered; INT64_MAX - 2: by SIGUSR1. */
static int64_t due_ns(const struct conn *c)
{
	return __atomic_load_n(&counts->keep, __ATOMIC_RELAXED)
		       ? INT64_MAX - 2
		       : now_ns() + atol(c->buf) * NS_PER_MS;
}

static void readable(struct conn *c)
{
	ssize_t n = recv(c->fd, c->buf + c->len, sizeof(c->buf) - 1 - c->len,
			 MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n > 0) {
		c->len += n;
		c->buf[c->len] = '\0';
		if (!strchr(c->buf, '\n') && c->len < sizeof(c->buf) - 1)
			return;
	}
	if (n <= 0 || c->waiting ||
	    urt__timers_add(&timers, due_ns(c), (uintptr_t)c)) {
		conn_close(c);
		return;
	}
	c->waiting = true;
	count_waiting(1);
	c->len = 0;
}

static bool full; /* no descriptor was free for a connection */

static void accept_one(int epfd, int listen_fd)
{
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
	struct conn *c = fd < 0 ? NULL : calloc(1, sizeof(*c));
	struct epoll_event ev = { EPOLLIN, { .ptr = c } };

	full |= fd < 0 && (errno == EMFILE || errno == ENFILE);
	if (!c) {
		if (fd >= 0)
			close(fd);
		return;
	}
	c->fd = fd;
	epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev);
}

/* A handler would race with going to sleep; a descriptor does not. */
static void signalled(void)
{
	struct signalfd_siginfo info;

	if (read(signals.listen_fd, &info, sizeof(info)) > 0)
		urt__timers_run(&timers, INT64_MAX - 1, NULL);
}

static void handle(int epfd, struct conn *c)
{
	if (c == &signals)
		signalled();
	else if (c->fd < 0)
		accept_one(epfd, c->listen_fd);
	else
		readable(c);
}

/* Waits for events until the next timer. */
static int wait_for(int epfd, struct epoll_event *events, int max)
{
	int64_t next = urt__timers_next(&timers);
	int64_t wait = next == INT64_MAX ? 0 : next - now_ns();
	struct timespec ts = { wait / NS_PER_S, wait % NS_PER_S };

	if (wait < 0)
		ts = (struct timespec){ 0, 0 };
	return epoll_pwait2(epfd, events, max, next == INT64_MAX ? NULL : &ts,
			    NULL);
}

static void listen_to(int epfd, struct conn *c, int fd)
{
	struct epoll_event ev = { EPOLLIN, { .ptr = c } };

	c->fd = -1;
	c->listen_fd = fd;
	epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev);
}

struct sockaddr_in backend_address(const struct server *s)
{
	static unsigned opened;
	struct sockaddr_in addr = s->backend;
	unsigned n = __atomic_fetch_add(&opened, 1, __ATOMIC_RELAXED);

	if (s->redis)
		return addr;
	addr.sin_addr.s_addr =
		htonl(ntohl(addr.sin_addr.s_addr) + n % BACKEND_ADDRESSES);
	return addr;
}

bool backend_listen(int *port, int fds[BACKEND_ADDRESSES])
{
	for (int i = 0; i < BACKEND_ADDRESSES; i++) {
		fds[i] = net_listen_at(i, port);
		if (fds[i] >= 0)
			continue;
		while (i--)
			close(fds[i]);
		return false;
	}
	return true;
}

_Noreturn void backend_serve(const int fds[BACKEND_ADDRESSES],
			     struct backend_counts *shared)
{
	static struct conn listeners[BACKEND_ADDRESSES];
	struct epoll_event events[256];
	int epfd = epoll_create1(EPOLL_CLOEXEC);
	static struct backend_counts own;
	sigset_t usr1;

	counts = shared ? shared : &own;
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	urt__timers_init(&timers, live, reply, NULL);
	listen_to(epfd, &signals, signalfd(-1, &usr1, SFD_CLOEXEC));
	for (int i = 0; i < BACKEND_ADDRESSES; i++)
		listen_to(epfd, &listeners[i], fds[i]);
	for (;;) {
		int n = wait_for(epfd, events, ARRAY_LEN(events));

		full = false;
		for (int i = 0; i < n; i++)
			handle(epfd, events[i].data.ptr);
		urt__timers_run(&timers, now_ns(), NULL);
		/* The listening socket stays readable: without a pause, the
		 * loop would spin. */
		if (full)
			sleep_ns(NS_PER_MS);
	}
}

pid_t backend_start(int *port, int cpu, struct backend_counts *shared)
{
	int fds[BACKEND_ADDRESSES];
	pid_t parent = getpid(), pid;

	if (!backend_listen(port, fds))
		return -1;
	pid = fork();
	if (!pid) {
		launch_die_with(parent);
		signal(SIGINT, SIG_IGN);
		net_most_descriptors();
		launch_pin(cpu);
		backend_serve(fds, shared);
	}
	for (int i = 0; i < BACKEND_ADDRESSES; i++)
		close(fds[i]);
	if (pid < 0)
		fail("cannot start the backend: %s", strerror(errno));
	return pid;
}
