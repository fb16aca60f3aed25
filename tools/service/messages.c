// SPDX-License-Identifier: MIT
/*
 * The servers for `urt bench latency` and `urt bench stall`, in coroutines and
 * in event loops; messages.go is the same in Go.
 *
 * Busy loops are rounds of a generator of random numbers, counted once per ms
 * of CPU, not a look at the clock: a loop that is preempted must not end while
 * others run.
 */
#define _GNU_SOURCE
#include "messages.h"
#include "../lib/burn.h"
#include "../../uring_rt/urt.h"
#include "../lib/message.h"
#include "../lib/net.h"
#include "../lib/tool.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static volatile uint32_t sink; /* so that reads are not optimised away */

/* ---- the answers of a coroutine ---- */

#define READS	      1000
#define COMPUTE_NS    (30 * NS_PER_MS)
#define LIBC_SLEEP_NS (100 * NS_PER_MS)
#define BLOCK_NS      (10 * NS_PER_MS)
#define FAULTS_NS     NS_PER_S /* at most */
#define PAGE	      4096

static void answer_reads(struct message *m)
{
	static int file = -1;
	char buf[PAGE];
	int64_t begin;

	if (file < 0)
		file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	begin = now_ns();
	for (int i = 0; i < READS; i++)
		if (urt_pread(file, buf, sizeof(buf), 0, URT_NEVER) < 0)
			return;
	m->value[0] = now_ns() - begin;
}

/* Starts n of them, and sends them to `join` as they end. */
static struct urt_coro **start(urt_fn *fn, void *arg, uint32_t n)
{
	struct urt_coro **c = calloc(n, sizeof(*c));

	for (uint32_t i = 0; c && i < n; i++)
		c[i] = urt_spawn(fn, arg);
	return c;
}

static void join(struct urt_coro **c, uint32_t n)
{
	for (uint32_t i = 0; c && i < n; i++)
		if (c[i])
			urt_join(c[i]);
	free(c);
}

static void sleep_in_libc(void *arg)
{
	sleep_ns(LIBC_SLEEP_NS);
}

static void answer_blocked(struct message *m)
{
	int64_t begin = now_ns();
	struct urt_coro **c = start(sleep_in_libc, NULL, m->n);

	urt_sleep(NS_PER_MS);
	m->value[0] = now_ns() - begin;
	join(c, m->n);
	m->value[1] = now_ns() - begin;
}

static void compute(void *arg)
{
	burn(COMPUTE_NS);
}

static void answer_new(struct message *m)
{
	struct urt_coro **c = start(compute, NULL, m->n);

	for (int i = 0; i < 20; i++) {
		int64_t begin = now_ns(), took;

		urt_sleep(NS_PER_MS);
		took = now_ns() - begin;
		if (took > m->value[0])
			m->value[0] = took;
	}
	join(c, m->n);
}

/* ---- page faults ---- */

struct faulting {
	const volatile char *map;
	size_t pages, parts;
	_Atomic size_t part;	/* the next one that is unused */
	_Atomic size_t touched; /* pages */
	volatile bool over;
	_Atomic unsigned left; /* coroutines that still touch */
};

static void touch(void *arg)
{
	struct faulting *f = arg;
	size_t part = f->part++, sum = 0, seen = 0;

	/* In an order that defeats read-ahead: by odd steps round the part. */
	for (size_t i = 0, n = f->pages / f->parts; i < n && !f->over; i++) {
		sum += f->map[(part * n + i * 1031 % n) * PAGE];
		seen++;
	}
	sink += sum;
	f->touched += seen;
	f->left--;
}

static int64_t percentile(int64_t *sorted, size_t n, double p)
{
	return n ? sorted[(size_t)(p * (n - 1))] : 0;
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void sleep_beside(struct faulting *f, struct message *m)
{
	enum { MANY = 4096 };
	int64_t took[MANY], begin = now_ns(), now = begin, last = begin;
	size_t n = 0;

	while (f->left && n < MANY && now - begin < FAULTS_NS) {
		urt_sleep(NS_PER_MS);
		now = now_ns();
		took[n++] = now - last;
		last = now;
	}
	f->over = true;
	while (f->left)
		urt_sleep(NS_PER_MS);
	qsort(took, n, sizeof(took[0]), by_size);
	m->value[0] = percentile(took, n, 0.5);
	m->value[1] = percentile(took, n, 0.99);
	m->value[2] = n ? took[n - 1] : 0;
	m->value[3] = f->touched * NS_PER_S / (now_ns() - begin);
}

static void answer_faults(struct message *m)
{
	struct faulting f = { .parts = m->n, .left = m->n };
	const char *name = getenv("URT_BENCH_FILE");
	int fd = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
	struct stat st;
	void *map;

	if (fd < 0 || fstat(fd, &st))
		return;
	map = mmap(NULL, st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return;
	madvise(map, st.st_size, MADV_RANDOM);
	f.map = map;
	f.pages = st.st_size / PAGE;
	for (uint32_t i = 0; i < m->n; i++)
		if (urt_go(touch, &f))
			f.left--;
	sleep_beside(&f, m);
	munmap(map, st.st_size);
}

/* ---- coroutines that block again and again ---- */

static _Atomic int64_t blocked_calls, early_calls;
static _Atomic uint32_t blockers;
static sem_t never_posted;

static void block_once(uint32_t how)
{
	struct timespec at;
	struct pollfd none;

	if (how % 3 == 0) {
		sleep_ns(BLOCK_NS);
	} else if (how % 3 == 1) {
		poll(&none, 0, BLOCK_NS / NS_PER_MS);
	} else {
		clock_gettime(CLOCK_REALTIME, &at);
		at.tv_nsec += BLOCK_NS;
		at.tv_sec += at.tv_nsec / NS_PER_S;
		at.tv_nsec %= NS_PER_S;
		sem_timedwait(&never_posted, &at);
	}
}

static void blocker(void *arg)
{
	for (uint32_t how = blockers++;;) {
		int64_t begin = now_ns();

		block_once(how);
		blocked_calls++;
		early_calls += now_ns() - begin < BLOCK_NS - NS_PER_MS / 10;
		urt_yield();
	}
}

static void answer_blockers(struct message *m)
{
	for (uint32_t i = 0; i < m->n; i++)
		urt_go(blocker, NULL);
	m->value[0] = early_calls;
	m->value[1] = blocked_calls;
}

/* ---- the servers ---- */

static void answer_echo(struct message *m)
{
	burn(m->n);
}

static void (*const answers[])(struct message *) = {
	[MESSAGE_ECHO] = answer_echo,
	[MESSAGE_READS] = answer_reads,
	[MESSAGE_BLOCKED] = answer_blocked,
	[MESSAGE_NEW] = answer_new,
	[MESSAGE_FAULTS] = answer_faults,
	[MESSAGE_BLOCKERS] = answer_blockers,
};

static void serve(int fd, void *arg)
{
	struct message m;

	while (urt_recv(fd, &m, sizeof(m), MSG_WAITALL, URT_NEVER) ==
	       sizeof(m)) {
		if (m.ask >= MESSAGE_ASKS)
			break;
		answers[m.ask](&m);
		if (urt_send(fd, &m, sizeof(m), MSG_NOSIGNAL, URT_NEVER) !=
		    sizeof(m))
			break;
	}
}

static void serve_all(void *arg)
{
	struct urt_scope scope;

	if (!urt_scope_open(&scope, URT_NEVER))
		urt_serve(&scope, *(int *)arg, serve, NULL);
	urt_scope_close(&scope);
}

/* Listens, and prints the port. */
static int open_listener(void)
{
	int port = 0, fd = net_listen(&port);
	long allowed;

	net_need_descriptors(4096, &allowed);
	if (fd >= 0) {
		burn_calibrate();
		printf("port %d\n", port);
		fflush(stdout);
	}
	return fd;
}

int messages_serve_coroutine(void)
{
	int fd = open_listener();

	if (fd < 0)
		return EXIT_BAD;
	sem_init(&never_posted, 0, 0);
	if (urt_run(serve_all, &fd))
		return fail("%s", urt_why());
	return 0;
}

/* ---- event loops ---- */

struct loops {
	int listener, threads;
	int epfd[64]; /* one per thread; the first also accepts */
};

static void accept_all(struct loops *l)
{
	static unsigned dealt;
	int fd;

	while ((fd = accept4(l->listener, NULL, NULL,
			     SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct epoll_event ev = { EPOLLIN, { .fd = fd } };

		if (epoll_ctl(l->epfd[dealt++ % l->threads], EPOLL_CTL_ADD, fd,
			      &ev))
			close(fd);
	}
}

static void echo_once(int fd)
{
	struct message m;
	ssize_t n = recv(fd, &m, sizeof(m), 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n == sizeof(m)) {
		burn(m.n);
		if (send(fd, &m, sizeof(m), MSG_NOSIGNAL) == sizeof(m))
			return;
	}
	close(fd);
}

static void *event_loop(void *arg)
{
	static _Atomic int started;
	struct loops *l = arg;
	int epfd = l->epfd[started++];
	struct epoll_event ev[256];

	for (;;) {
		int n = epoll_wait(epfd, ev, ARRAY_LEN(ev), -1);

		for (int i = 0; i < n; i++) {
			if (ev[i].data.fd == l->listener)
				accept_all(l);
			else
				echo_once(ev[i].data.fd);
		}
	}
	return NULL;
}

int messages_serve_epoll(int threads)
{
	struct loops l = { .listener = open_listener(), .threads = threads };
	struct epoll_event ev = { EPOLLIN, { .fd = l.listener } };
	pthread_t t;

	if (l.listener < 0 || threads > (int)ARRAY_LEN(l.epfd))
		return EXIT_BAD;
	fcntl(l.listener, F_SETFL, O_NONBLOCK);
	for (int i = 0; i < threads; i++)
		l.epfd[i] = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_ctl(l.epfd[0], EPOLL_CTL_ADD, l.listener, &ev))
		return fail("epoll: %s", strerror(errno));
	for (int i = 1; i < threads; i++)
		if (pthread_create(&t, NULL, event_loop, &l))
			return fail("no thread could be started");
	event_loop(&l);
	return 0;
}
