// SPDX-License-Identifier: MIT
/*
 * The load generator (load.h): when requests are sent, and what counts. One
 * thread and plain epoll: it belongs to none of the models that it measures, and
 * one of its requests costs less than one of any server's, so that a server on
 * one CPU is the bottleneck (the caller checks that by its CPU time).
 *
 * Connections (conn.c) are opened only as fast as the server accepts them: a
 * full queue of accepts would drop SYNs, and a second of retransmission would be
 * measured instead of the server.
 *
 * Rejected: a timer per connection for the open loop (wrk2): a schedule for
 * all of them, served by whichever connection is free, needs no more state and
 * does not tie a request to a connection that is stuck.
 */
#define _GNU_SOURCE
#include "conn.h"
#include "http.h"
#include "../lib/tool.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define WINDOW	 512 /* opened and not yet accepted by the server */
#define STALL_NS (100 * NS_PER_MS) /* after which the window grows */
#define RETRY_NS (10 * NS_PER_MS)  /* between attempts to reconnect */

struct load_shared *load_shared_new(void)
{
	void *p = mmap(NULL, sizeof(struct load_shared), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

void load_shared_free(struct load_shared *s)
{
	munmap(s, sizeof(*s));
}

static bool recording(const struct load *l)
{
	return __atomic_load_n(&l->shared->recording, __ATOMIC_RELAXED);
}

/* ---- sending ---- */

static bool all_sent(const struct load *l)
{
	return l->options->requests && l->sent >= l->options->requests;
}

static void request(struct load *l, struct conn *c, int64_t since_ns)
{
	c->since_ns = since_ns;
	if (!c->burst && all_sent(l)) {
		if (c->state != FRESH)
			c->state = IDLE;
		return;
	}
	if (c->state == FRESH) {
		c->pending = !conn_open(l, c);
		if (!c->pending)
			conn_broken(l, c, true);
		return;
	}
	l->sent += !c->burst;
	conn_send(l, c);
}

/* When the next request of the open loop is due. */
static int64_t due_ns(const struct load *l)
{
	return l->start_ns + (int64_t)((l->next_due + l->options->rate_offset) /
				       l->options->rate * 1e9);
}

static void set_free(struct load *l, struct conn *c)
{
	c->state = IDLE;
	if (c->burst)
		return;
	if (l->options->per_connection && l->start_ns &&
	    c->answers >= l->options->per_connection) {
		conn_close(c);
		c->state = FRESH;
	}
	if (!l->options->rate) {
		if (l->start_ns)
			request(l, c, now_ns());
		return;
	}
	if (c->queued)
		return; /* closed and opened again while it was free */
	c->queued = true;
	l->idle[(l->idle_head + l->idle_len++) % l->options->connections] = c;
}

void load_connected(struct load *l, struct conn *c)
{
	/* One request before all begin, so that the server has accepted it. */
	if (c->pending)
		request(l, c, c->since_ns);
	else if (l->options->hold || (!l->start_ns && !c->burst))
		request(l, c, now_ns());
	else
		set_free(l, c);
}

/* How late the generator itself is, after a sleep with a free connection. */
static void count_late(struct load *l, int64_t now)
{
	struct load_shared *s = l->shared;
	int64_t late = now - due_ns(l);

	if (!l->had_idle || late < 0 || !recording(l))
		return;
	s->late_count++;
	s->late_sum_ns += late;
	if ((uint64_t)late > s->late_max_ns)
		s->late_max_ns = late;
}

/* Sends the requests that are due, as long as there are free connections. */
static void send_due(struct load *l, int64_t now)
{
	if (l->start_ns && l->idle_len)
		count_late(l, now);
	while (l->start_ns && l->idle_len && due_ns(l) <= now) {
		struct conn *c = l->idle[l->idle_head];

		l->idle_head = (l->idle_head + 1) % l->options->connections;
		l->idle_len--;
		c->queued = false;
		if (c->state != IDLE && c->state != FRESH)
			continue; /* has been closed since */
		request(l, c, due_ns(l));
		l->next_due++;
	}
}

static void send_burst(struct load *l, int64_t now)
{
	struct conn *c = &l->conns[l->options->connections];

	if (!l->options->burst_path || !l->start_ns || now < l->burst_due_ns)
		return;
	l->burst_base_ns = l->burst_due_ns;
	l->burst_due_ns += l->options->burst_every_ns;
	if (c->state == IDLE)
		request(l, c, l->burst_base_ns);
}

/* ---- answers ---- */

static void record_phase(struct load *l, int64_t since_ns, uint64_t latency)
{
	int64_t phase = since_ns - l->burst_base_ns;
	int64_t every = l->options->burst_every_ns;
	struct load_phase *p;

	while (phase < 0)
		phase += every;
	p = &l->shared->phase[phase % every * LOAD_PHASES / every];
	p->count++;
	p->sum_ns += latency;
	if (latency > p->max_ns)
		p->max_ns = latency;
}

void load_answered(struct load *l, struct conn *c)
{
	int64_t now = now_ns();
	uint64_t latency = now - c->since_ns;

	l->shared->last_answer_ns = now;
	if (c->burst) {
		if (recording(l)) {
			l->shared->bursts++;
			l->shared->burst_sum_ns += latency;
		}
	} else {
		if (recording(l)) {
			histogram_add(&l->shared->latency, latency);
			if (l->options->burst_path && l->burst_base_ns)
				record_phase(l, c->since_ns, latency);
		}
		count(c->status == 200 ? &l->shared->completed
				       : &l->shared->errors);
	}
	if (l->options->hold)
		c->state = IDLE;
	else
		set_free(l, c);
}

/* ---- the loop ---- */

/* The number of connections that the server has accepted. */
static long taken_in(const struct load *l)
{
	if (!l->options->waiting)
		return l->taken;
	return __atomic_load_n(l->options->waiting, __ATOMIC_RELAXED) +
	       l->shared->broken;
}

static int open_more(struct load *l, int64_t now)
{
	long all = l->options->connections, taken = taken_in(l);
	int err;

	if (now - l->moved_ns > STALL_NS) {
		l->window += WINDOW;
		l->moved_ns = now;
	}
	while (l->next_to_open < all && l->next_to_open - taken < l->window) {
		err = conn_open(l, &l->conns[l->next_to_open]);
		if (err)
			return err;
		l->next_to_open++;
		l->moved_ns = now;
	}
	return 0;
}

static void reopen(struct load *l, int64_t now)
{
	if (!l->closed || now < l->retry_ns)
		return;
	l->retry_ns = now + RETRY_NS;
	for (long i = 0; i <= l->options->connections && l->closed; i++) {
		struct conn *c = &l->conns[i];

		if (c->state == CLOSED && c->answered && !conn_open(l, c))
			l->closed--;
	}
}

static void begin(struct load *l, int64_t now)
{
	long all = l->options->connections;

	if (l->next_to_open < all || l->connecting ||
	    (!l->options->hold && l->taken < all))
		return;
	l->start_ns = now;
	for (long i = 0; i < all && !l->options->rate; i++)
		if (l->conns[i].state == IDLE && !l->options->hold)
			request(l, &l->conns[i], now);
	l->burst_due_ns = now + l->options->burst_every_ns / 5;
	__atomic_store_n(&l->shared->connected_ns, now, __ATOMIC_RELEASE);
}

static int64_t patience(const struct load *l, int64_t now)
{
	int64_t ns = 20 * NS_PER_MS;

	if (!l->start_ns)
		return NS_PER_MS;
	if (l->options->spin)
		return 0;
	if (l->options->rate && l->idle_len && due_ns(l) - now < ns)
		ns = due_ns(l) - now;
	if (l->options->burst_path && l->burst_due_ns - now < ns)
		ns = l->burst_due_ns - now;
	return ns > 0 ? ns : 0;
}

static bool ended(const struct load *l)
{
	return __atomic_load_n(&l->shared->stop, __ATOMIC_RELAXED) ||
	       (all_sent(l) && !l->busy);
}

static int loop(struct load *l)
{
	struct epoll_event events[256];
	int64_t now = now_ns();

	l->moved_ns = now;
	while (!ended(l)) {
		struct timespec ts = { 0, patience(l, now) };
		int n;

		l->had_idle = l->idle_len && (ts.tv_nsec || l->options->spin);
		n = epoll_pwait2(l->epfd, events, ARRAY_LEN(events), &ts, NULL);
		for (int i = 0; i < n; i++)
			conn_handle(l, events[i].data.ptr, events[i].events);
		now = now_ns();
		if (l->shared->failed_errno)
			return -l->shared->failed_errno;
		if (!l->start_ns) {
			int err = open_more(l, now);

			if (err)
				return err;
			begin(l, now);
		}
		reopen(l, now);
		if (l->options->rate)
			send_due(l, now);
		send_burst(l, now);
	}
	return 0;
}

/* A request that was due and has no answer at the end counts with its waiting
 * time so far: latencies without it would flatter the server. */
static void charge(struct load *l, int64_t due, int64_t now)
{
	l->shared->unanswered++;
	if (!l->shared->recording_ns || due < l->shared->recording_ns)
		return;
	histogram_add(&l->shared->latency, now - due);
	l->shared->charged++;
}

static void count_unanswered(struct load *l, int64_t now)
{
	for (long i = 0; i < l->options->connections; i++)
		if (l->conns[i].state == BUSY || l->conns[i].pending)
			charge(l, l->conns[i].since_ns, now);
	for (; l->start_ns && !all_sent(l) && due_ns(l) < now; l->next_due++)
		charge(l, due_ns(l), now);
}

static void load_free(struct load *l)
{
	for (long i = 0; l->conns && i <= l->options->connections; i++) {
		free(l->conns[i].head);
		if (l->conns[i].state > FRESH)
			conn_close(&l->conns[i]);
	}
	if (l->tls)
		load_tls_close(l->tls);
	free(l->conns);
	free(l->idle);
	if (l->epfd >= 0)
		close(l->epfd);
	free(l);
}

static int load_init(struct load *l)
{
	const struct load_options *o = l->options;

	l->request_len =
		load_request(l->request, sizeof(l->request), o, o->path);
	if (o->burst_path)
		l->burst_len =
			load_request(l->burst_request, sizeof(l->burst_request),
				     o, o->burst_path);
	if (l->request_len >= sizeof(l->request) ||
	    l->burst_len >= sizeof(l->burst_request))
		return -ENAMETOOLONG;
	l->window = WINDOW;
	l->conns = calloc(o->connections + 1, sizeof(*l->conns));
	l->idle = calloc(o->connections, sizeof(struct conn *));
	if (o->tls)
		l->tls = load_tls_open();
	if (!l->conns || !l->idle || l->epfd < 0 || (o->tls && !l->tls))
		return -ENOMEM;
	l->conns[o->connections].burst = true;
	return o->burst_path ? conn_open(l, &l->conns[o->connections]) : 0;
}

int load_run(const struct load_options *o, struct load_shared *shared)
{
	struct load *l = calloc(1, sizeof(*l));
	int err;

	if (!l)
		return -ENOMEM;
	/* Timers are exact to the ns: late requests would come in bursts, which
	 * are cheaper for a server than the requested load. */
	prctl(PR_SET_TIMERSLACK, 1);
	l->options = o;
	l->shared = shared;
	l->epfd = epoll_create1(EPOLL_CLOEXEC);
	err = load_init(l);
	if (!err)
		err = loop(l);
	if (!err && o->rate)
		count_unanswered(l, now_ns());
	if (err)
		__atomic_store_n(&shared->failed_errno, -err, __ATOMIC_RELEASE);
	load_free(l);
	return err;
}
