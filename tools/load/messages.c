// SPDX-License-Identifier: MIT
/*
 * See messages.h. Plain epoll in a few threads, for the reason given in load.c:
 * it is not one of the measured models, and costs less than any server.
 *
 * The loop is closed: a connection asks when it has its answer. So does the
 * matrix of ClickHouse/silk, with whose figures ours are compared, and so an
 * overloaded server slows its clients down instead of queueing forever.
 */
#define _GNU_SOURCE
#include "messages.h"
#include "../lib/net.h"
#include "../lib/tool.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_S 10

struct link {
	int fd;
	int64_t since_ns; /* when its message was sent */
	int64_t loop_ns;  /* its next moment for a loop */
	bool looping;	  /* the message under way has one */
	bool answered;	  /* at least once */
	uint32_t got;	  /* bytes of the answer */
};

struct share {
	const struct messages_plan *plan;
	struct messages_result result;
	struct link *links;
	long n;
	int epfd, error;
	uint64_t random; /* xorshift64*'s state */
	pthread_t thread;
};

int messages_connect(int port)
{
	struct sockaddr_in to = net_loopback(port);
	struct timeval patience = { PATIENCE_S, 0 };
	int fd, on = 1, err;

	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (!connect(fd, (struct sockaddr *)&to, sizeof(to)))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

int messages_ask(int fd, enum message_ask ask, uint32_t n, struct message *m)
{
	ssize_t got;

	memset(m, 0, sizeof(*m));
	m->ask = ask;
	m->n = n;
	if (send(fd, m, sizeof(*m), MSG_NOSIGNAL) != sizeof(*m))
		return errno ? -errno : -EIO;
	got = recv(fd, m, sizeof(*m), MSG_WAITALL);
	if (got < 0)
		return errno == EAGAIN ? -ETIME : -errno;
	return got == sizeof(*m) ? 0 : -ECONNRESET;
}

/* ---- chance ---- */

static double uniform(struct share *s)
{
	s->random ^= s->random >> 12;
	s->random ^= s->random << 25;
	s->random ^= s->random >> 27;
	return ((s->random * UINT64_C(0x2545F4914F6CDD1D)) >> 11) * 0x1p-53;
}

static int64_t next_moment(struct share *s, int64_t now)
{
	return now + (int64_t)(-log(1 - uniform(s)) / s->plan->loop_hz * 1e9);
}

/* ---- a closed loop ---- */

static void link_send(struct share *s, struct link *l, int64_t now)
{
	struct message m = { .ask = MESSAGE_ECHO };

	l->looping = s->plan->loop_hz && now >= l->loop_ns;
	if (l->looping) {
		m.n = s->plan->loop_ns;
		l->loop_ns = next_moment(s, now);
	}
	l->got = 0;
	l->since_ns = now;
	if (send(l->fd, &m, sizeof(m), MSG_NOSIGNAL) != sizeof(m))
		s->error = errno ? errno : EIO;
}

/* Whether the answer is whole. */
static bool link_receive(struct share *s, struct link *l)
{
	char buf[sizeof(struct message)];
	ssize_t n = recv(l->fd, buf, sizeof(buf) - l->got, MSG_DONTWAIT);

	if (n <= 0) {
		if (!n || errno != EAGAIN)
			s->error = n ? errno : ECONNRESET;
		return false;
	}
	l->got += n;
	return l->got == sizeof(buf);
}

/*
 * A message without an answer at the end has waited at least until then. It
 * counts if that is longer than most waited, so that a message that is never
 * answered shows, and one just sent does not count as a short wait.
 */
static void count_waiting(struct share *s, int64_t now)
{
	uint64_t usual[] = { histogram_percentile(&s->result.plain, 0.5),
			     histogram_percentile(&s->result.loop, 0.5) };

	for (long i = 0; i < s->n; i++) {
		const struct link *l = &s->links[i];
		uint64_t waited = now - l->since_ns;

		if (waited > usual[l->looping])
			histogram_add(l->looping ? &s->result.loop
						 : &s->result.plain,
				      waited);
	}
}

static void share_loop(struct share *s)
{
	int64_t now = now_ns(), begin = now + s->plan->warm_ns;
	int64_t end = begin + s->plan->ns;
	struct epoll_event ev[256];

	for (long i = 0; i < s->n; i++) {
		if (s->plan->loop_hz)
			s->links[i].loop_ns = next_moment(s, now);
		link_send(s, &s->links[i], now);
	}
	while (now < end && !s->error && !*s->plan->stop) {
		int n = epoll_wait(s->epfd, ev, ARRAY_LEN(ev), 10);

		for (int i = 0; i < n; i++) {
			struct link *l = ev[i].data.ptr;

			if (!link_receive(s, l))
				continue;
			now = now_ns();
			if (now >= begin && now < end)
				histogram_add(l->looping ? &s->result.loop
							 : &s->result.plain,
					      now - l->since_ns);
			link_send(s, l, now);
		}
		now = now_ns();
	}
	if (now >= end)
		count_waiting(s, now);
}

static int share_open(struct share *s)
{
	s->epfd = epoll_create1(EPOLL_CLOEXEC);
	for (long i = 0; i < s->n; i++) {
		struct link *l = &s->links[i];
		struct epoll_event ev = { EPOLLIN, { .ptr = l } };

		l->fd = messages_connect(s->plan->port);
		if (l->fd < 0 || epoll_ctl(s->epfd, EPOLL_CTL_ADD, l->fd, &ev))
			return l->fd < 0 ? l->fd : -errno;
	}
	return 0;
}

static void share_close(struct share *s)
{
	for (long i = 0; i < s->n; i++)
		if (s->links[i].fd > 0)
			close(s->links[i].fd);
	close(s->epfd);
}

/* The load's threads stay off the server's CPU, if there is another. */
static void keep_off(int cpu)
{
	cpu_set_t set;

	if (cpu < 0 || sched_getaffinity(0, sizeof(set), &set))
		return;
	CPU_CLR(cpu, &set);
	if (CPU_COUNT(&set))
		sched_setaffinity(0, sizeof(set), &set);
}

static void *share_main(void *arg)
{
	struct share *s = arg;

	keep_off(s->plan->not_on_cpu);
	share_loop(s);
	return NULL;
}

static void merge(struct histogram *to, const struct histogram *from)
{
	for (unsigned i = 0; i < ARRAY_LEN(to->part); i++)
		to->part[i] += from->part[i];
	to->count += from->count;
	to->sum += from->sum;
	if (from->max > to->max)
		to->max = from->max;
}

static int run_shares(struct share *s, int threads, struct messages_result *r)
{
	int err = 0, started = 0;

	for (int i = 0; i < threads && !err; i++)
		err = share_open(&s[i]);
	for (; started < threads && !err; started += !err)
		err = -pthread_create(&s[started].thread, NULL, share_main,
				      &s[started]);
	for (int i = 0; i < started; i++) {
		pthread_join(s[i].thread, NULL);
		merge(&r->plain, &s[i].result.plain);
		merge(&r->loop, &s[i].result.loop);
		if (s[i].error)
			err = -s[i].error;
	}
	for (int i = 0; i < threads; i++)
		share_close(&s[i]);
	return err;
}

int messages_load(const struct messages_plan *p, struct messages_result *r)
{
	struct share *s = calloc(p->threads, sizeof(*s));
	struct link *links = calloc(p->connections, sizeof(*links));
	int err = s && links ? 0 : -ENOMEM;
	long given = 0;

	memset(r, 0, sizeof(*r));
	for (int i = 0; i < p->threads && !err; i++) {
		s[i].plan = p;
		s[i].links = links + given;
		s[i].n = p->connections * (i + 1) / p->threads - given;
		s[i].random = now_ns() * 2 + 2 * i + 1;
		given += s[i].n;
	}
	if (!err)
		err = run_shares(s, p->threads, r);
	if (!err && *p->stop)
		err = -EINTR;
	r->rate = (r->plain.count + r->loop.count) * 1e9 / p->ns;
	free(s);
	free(links);
	return err;
}

/* ---- busy loops ---- */

const struct stall_case stall_cases[STALL_CASES] = {
	{ "stall-64-1ms", 64, 1000000, 10 },
	{ "stall-64-100us", 64, 100000, 100 },
	{ "stall-160-1ms", 16, 1000000, 100 },
	{ "stall-160-100us", 16, 100000, 1000 },
};

int messages_stall(const struct stall_case *c, const struct messages_plan *p,
		   int workers, struct messages_result *r)
{
	struct messages_plan plan = *p;

	plan.connections = c->connections * workers;
	plan.threads = workers;
	plan.loop_hz = c->loop_hz;
	plan.loop_ns = c->loop_ns;
	return messages_load(&plan, r);
}

/* ---- all at once ---- */

static int burst_answers(struct share *s, double *took)
{
	int64_t end = now_ns() + PATIENCE_S * NS_PER_S;
	struct epoll_event ev[256];
	long left = s->n;

	while (left && !s->error && !*s->plan->stop) {
		int n = epoll_wait(s->epfd, ev, ARRAY_LEN(ev), 100);

		for (int i = 0; i < n; i++) {
			struct link *l = ev[i].data.ptr;

			if (!link_receive(s, l))
				continue;
			if (!l->answered)
				took[s->n - left--] = now_ns() - l->since_ns;
			l->answered = true;
			link_send(s, l, now_ns());
		}
		if (now_ns() > end)
			return -ETIME;
	}
	return s->error ? -s->error : left ? -EINTR : 0;
}

int messages_burst(const struct messages_plan *p, double *median, double *last)
{
	struct share s = { .plan = p, .n = p->connections };
	double *took = calloc(s.n, sizeof(*took));
	cpu_set_t before;
	int err = -ENOMEM;

	s.links = calloc(s.n, sizeof(*s.links));
	if (!took || !s.links)
		goto out;
	sched_getaffinity(0, sizeof(before), &before);
	keep_off(p->not_on_cpu);
	err = share_open(&s);
	for (long i = 0; i < s.n && !err; i++)
		link_send(&s, &s.links[i], now_ns());
	if (!err)
		err = burst_answers(&s, took);
	share_close(&s);
	sched_setaffinity(0, sizeof(before), &before);
	sort_doubles(took, s.n);
	*median = took[s.n / 2];
	*last = took[s.n - 1];
out:
	free(took);
	free(s.links);
	return err;
}

/* ---- one after another ---- */

int messages_in_turn(const struct messages_plan *p, double *rate)
{
	struct linger reset = { 1, 0 }; /* leaves no TIME_WAIT */
	int64_t begin = now_ns() + p->warm_ns, end = begin + p->ns, now = 0;
	struct message m;
	cpu_set_t before;
	long n = 0;
	int err = 0;

	sched_getaffinity(0, sizeof(before), &before);
	keep_off(p->not_on_cpu);
	while (!err && !*p->stop && (now = now_ns()) < end) {
		int fd = messages_connect(p->port);

		if (fd < 0) {
			err = fd;
			break;
		}
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		err = messages_ask(fd, MESSAGE_ECHO, 0, &m);
		close(fd);
		n += now >= begin;
	}
	sched_setaffinity(0, sizeof(before), &before);
	*rate = n * 1e9 / p->ns;
	return err ? err : *p->stop ? -EINTR : 0;
}
