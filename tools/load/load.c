// SPDX-License-Identifier: MIT
/*
 * The load generator (load.h). One thread and plain epoll: it belongs to none
 * of the models that it measures, and one of its requests costs less than one
 * of any server's, so that a server on one CPU is the bottleneck (the caller
 * checks that by its CPU time).
 *
 * Connections are opened without blocking, and only as fast as the server
 * accepts them: a full queue of accepts would drop SYNs, and a second of
 * retransmission would be measured instead of the server. When ports run out,
 * at about 28,000 for one pair of addresses, further source addresses of the
 * loopback network are used.
 *
 * Rejected: a timer per connection for the open loop (wrk2): a schedule for
 * all of them, served by whichever connection is free, needs no more state and
 * does not tie a request to a connection that is stuck.
 */
#define _GNU_SOURCE
#include "load.h"
#include "http.h"
#include "../lib/net.h"
#include "../lib/tool.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define WINDOW	   512 /* opened and not yet accepted by the server */
#define STALL_NS   (100 * NS_PER_MS) /* after which the window grows */
#define RETRY_NS   (10 * NS_PER_MS)  /* between attempts to reconnect */
#define PER_SOURCE 25000	     /* connections from one source address */

/* FRESH: free, and opened by its next request (per_connection). SHAKING: it
 * makes the handshake of TLS. */
enum conn_state { CLOSED, FRESH, CONNECTING, SHAKING, IDLE, BUSY };

struct conn {
	int fd;
	uint32_t wants;	    /* the events that epoll reports */
	struct ssl_st *tls; /* from SHAKING on; NULL: none */
	enum conn_state state;
	bool answered;	   /* at least once */
	bool burst;	   /* the connection of the bursts */
	bool queued;	   /* in the ring of free connections */
	bool pending;	   /* a request waits until it is connected */
	uint32_t answers;  /* since it was opened */
	uint16_t head_len; /* bytes in head */
	int status;	   /* of the answer being read */
	long body_left;	   /* of the answer being read; -1: its head is */
	int64_t since_ns;  /* from when the latency counts */
	char *head;	   /* of an answer that came in parts; or NULL */
};

struct load {
	const struct load_options *options;
	struct load_shared *shared;
	struct ssl_ctx_st *tls; /* NULL: none */
	int epfd;
	char request[512], burst_request[512]; /* whole, to be sent */
	size_t request_len, burst_len;	       /* bytes of them */
	struct conn *conns;		       /* the last one is for bursts */
	long next_to_open;		       /* index in conns */
	long taken;	 /* connections answered at least once, or broken */
	long closed;	 /* connections to be reopened */
	long connecting; /* connections that are not connected yet */
	uint64_t sent;	 /* requests */
	long busy;	 /* of the connected ones, not answered yet */
	bool had_idle;	 /* when it last went to sleep, one was free */
	int64_t moved_ns, retry_ns; /* last progress in opening; next retry */
	long window;		    /* see WINDOW */
	/* Open loop: the free connections, oldest first, and the schedule. */
	struct conn **idle;
	long idle_head, idle_len; /* a ring of options->connections */
	int64_t start_ns;	  /* of the schedule; 0: not begun */
	uint64_t next_due;	  /* number of the next request of it */
	int64_t burst_due_ns, burst_base_ns; /* next one, last one */
	char in[65536];			     /* what was just received */
};

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

static void count(uint64_t *counter)
{
	__atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

static bool recording(const struct load *l)
{
	return __atomic_load_n(&l->shared->recording, __ATOMIC_RELAXED);
}

/* ---- opening ---- */

static int conn_open(struct load *l, struct conn *c)
{
	struct epoll_event ev = { EPOLLIN | EPOLLOUT, { .ptr = c } };
	int on = 1, err;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return -errno;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	net_use_source(c->fd, &l->options->server,
		       (l->options->first + (c - l->conns)) / PER_SOURCE);
	if ((connect(c->fd, (const struct sockaddr *)&l->options->server,
		     sizeof(l->options->server)) &&
	     errno != EINPROGRESS) ||
	    epoll_ctl(l->epfd, EPOLL_CTL_ADD, c->fd, &ev)) {
		err = -errno;
		close(c->fd);
		return err;
	}
	c->state = CONNECTING;
	c->wants = ev.events;
	l->connecting++;
	c->head_len = 0;
	c->body_left = -1;
	c->answers = 0;
	return 0;
}

static void conn_close(struct conn *c)
{
	if (c->tls)
		load_tls_free(c->tls);
	c->tls = NULL;
	close(c->fd);
}

static void conn_taken(struct load *l, struct conn *c)
{
	if (!c->answered && !c->burst)
		l->taken++;
	c->answered = true;
}

static void conn_broken(struct load *l, struct conn *c, bool error)
{
	if (error) {
		count(&l->shared->errors);
		count(&l->shared->broken);
	}
	conn_taken(l, c);
	l->busy -= c->state == BUSY;
	c->pending = false;
	if (c->state > FRESH)
		conn_close(c);
	c->state = CLOSED;
	if (!l->options->hold)
		l->closed++;
}

/* ---- sending ---- */

static bool all_sent(const struct load *l)
{
	return l->options->requests && l->sent >= l->options->requests;
}

static void conn_send(struct load *l, struct conn *c, int64_t since_ns)
{
	const char *text = c->burst ? l->burst_request : l->request;
	size_t len = c->burst ? l->burst_len : l->request_len;

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
	l->busy++;
	c->pending = false;
	c->state = BUSY;
	/* A whole request always fits an empty socket buffer; if the peer has
	 * closed, the next event says so. */
	if (load_send(c->fd, c->tls, text, len) < 0)
		shutdown(c->fd, SHUT_RDWR);
}

/* When the next request of the open loop is due. */
static int64_t due_ns(const struct load *l)
{
	return l->start_ns + (int64_t)((l->next_due + l->options->rate_offset) /
				       l->options->rate * 1e9);
}

static void conn_free(struct load *l, struct conn *c)
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
			conn_send(l, c, now_ns());
		return;
	}
	if (c->queued)
		return; /* closed and opened again while it was free */
	c->queued = true;
	l->idle[(l->idle_head + l->idle_len++) % l->options->connections] = c;
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
		conn_send(l, c, due_ns(l));
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
		conn_send(l, c, l->burst_base_ns);
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

static void answered(struct load *l, struct conn *c)
{
	int64_t now = now_ns();
	uint64_t latency = now - c->since_ns;

	conn_taken(l, c);
	l->busy--;
	c->answers++;
	l->shared->last_answer_ns = now;
	c->body_left = -1;
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
		conn_free(l, c);
}

static bool keep_head(struct conn *c, const char *p, size_t len)
{
	if (!c->head && !(c->head = malloc(LOAD_HEAD_MAX)))
		return false;
	memcpy(c->head, p, len);
	c->head_len = len;
	return true;
}

/* Whether the received data are an answer, as far as they came. */
static bool take(struct load *l, struct conn *c, size_t len)
{
	long head, body = 0;

	if (c->state != BUSY)
		return false;
	if (c->body_left < 0) {
		head = load_head(l->in, len, &c->status, &body);
		if (head < 0 && body == LOAD_NO_LENGTH)
			count(&l->shared->no_length);
		if (!head)
			return keep_head(c, l->in, len);
		if (head < 0)
			return false;
		c->head_len = 0;
		c->body_left = body;
		len -= head;
	}
	if (len > (size_t)c->body_left)
		return false; /* more than one answer */
	c->body_left -= len;
	if (!c->body_left)
		answered(l, c);
	return true;
}

static void read_once(struct load *l, struct conn *c, bool *more)
{
	ssize_t n;

	if (c->head_len)
		memcpy(l->in, c->head, c->head_len);
	n = load_recv(c->fd, c->tls, l->in + c->head_len,
		      sizeof(l->in) - c->head_len);
	*more = n > 0;
	if (n < 0 && errno == EAGAIN)
		return;
	/* Closing between answers is the server's right. */
	if (n <= 0)
		conn_broken(l, c, c->state == BUSY || n < 0);
	else if (!take(l, c, c->head_len + n))
		conn_broken(l, c, true);
}

/* What TLS has read already, epoll does not report. */
static void conn_readable(struct load *l, struct conn *c)
{
	bool more;

	do
		read_once(l, c, &more);
	while (more && c->tls && load_tls_pending(c->tls));
}

/* ---- connected ---- */

static void conn_wants(struct load *l, struct conn *c, uint32_t events)
{
	struct epoll_event ev = { events, { .ptr = c } };

	if (c->wants != events)
		epoll_ctl(l->epfd, EPOLL_CTL_MOD, c->fd, &ev);
	c->wants = events;
}

static void conn_failed(struct load *l, struct conn *c, int err)
{
	l->connecting--;
	if (!l->shared->opened && !l->shared->failed_errno)
		l->shared->failed_errno = err;
	conn_broken(l, c, true);
}

static void conn_ready(struct load *l, struct conn *c)
{
	l->connecting--;
	conn_wants(l, c, EPOLLIN);
	if (!c->burst)
		count(&l->shared->opened);
	/* One request before all begin, so that the server has accepted it. */
	if (c->pending)
		conn_send(l, c, c->since_ns);
	else if (l->options->hold || (!l->start_ns && !c->burst))
		conn_send(l, c, now_ns());
	else
		conn_free(l, c);
}

static void conn_shake(struct load *l, struct conn *c)
{
	int ret = load_tls_shake(c->tls, l->shared->tls);

	if (ret > 0)
		conn_wants(l, c, ret);
	else if (ret < 0)
		conn_failed(l, c, -ret);
	else
		conn_ready(l, c);
}

static void conn_connected(struct load *l, struct conn *c)
{
	socklen_t len = sizeof(int);
	int err = 0;

	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len);
	if (!err && l->tls && !(c->tls = load_tls_new(l->tls, c->fd)))
		err = ENOMEM;
	if (err) {
		conn_failed(l, c, err);
	} else if (c->tls) {
		c->state = SHAKING;
		conn_shake(l, c);
	} else {
		conn_ready(l, c);
	}
}

static void handle(struct load *l, struct conn *c, uint32_t events)
{
	if (c->state == CONNECTING) {
		if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
			conn_connected(l, c);
	} else if (c->state == SHAKING) {
		conn_shake(l, c);
	} else if (c->state == IDLE || c->state == BUSY) {
		conn_readable(l, c);
	}
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
			conn_send(l, &l->conns[i], now);
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
			handle(l, events[i].data.ptr, events[i].events);
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
