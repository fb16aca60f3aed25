/*
 * A TCP proxy: what comes at one address goes to another, both ways.
 *
 *	cc proxy.c $(pkg-config --cflags --libs uring_rt) -o proxy
 *	./proxy :8080 example.org:80       or ./proxy :8080 unix:/run/x.sock
 *
 * A connection is two coroutines, one for each direction, in a scope of their
 * own: when it is closed, both have ended and the descriptors can go. A third
 * one ends them when nothing has come from either side for a while (by default
 * ten minutes; the third argument is in seconds): the clients say nothing, or one
 * of them reads nothing.
 */
#include <err.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <urt.h>

#define DIAL_NS (10 * INT64_C(1000000000))

static struct urt_scope server;
static const char *from, *to;
static int64_t idle_ms = 600 * 1000;

struct connection {
	struct urt_scope scope;
	_Atomic int open; /* directions */
	struct direction {
		int in, out;
		struct connection *of;
	} there, back;
};

static int pump(void *arg)
{
	struct direction *d = arg;
	int err = urt_copy(d->in, d->out, SIZE_MAX, NULL, URT_NEVER);

	/* The end of one direction is passed on to the other side, which may
	 * still have data to send. An error ends both: it cancels the scope. */
	urt_shutdown(d->out, SHUT_WR, URT_NEVER);
	if (!--d->of->open)
		urt_scope_cancel(&d->of->scope); /* the watch */
	return err;
}

/* Sockets other than TCP's do not tell: they are always idle. */
static bool is_idle(int socket)
{
	struct tcp_info t;
	socklen_t len = sizeof(t);

	return getsockopt(socket, IPPROTO_TCP, TCP_INFO, &t, &len) ||
	       t.tcpi_last_data_recv >= idle_ms;
}

static int watch(void *arg)
{
	struct connection *c = arg;

	while (!urt_sleep(idle_ms * 1000000 / 4))
		if (is_idle(c->there.in) && is_idle(c->back.in))
			return -ETIME; /* cancels the scope */
	return 0;
}

static void forward(int client, void *arg)
{
	int target = urt_dial(to, urt_after(DIAL_NS));
	struct connection c = { .open = 2,
				.there = { client, target, &c },
				.back = { target, client, &c } };

	if (target < 0) {
		fprintf(stderr, "%s: %s\n", to, strerror(-target));
		return;
	}
	urt_scope_open(&c.scope, URT_NEVER);
	if (urt_scope_go(&c.scope, pump, &c.there) ||
	    urt_scope_go(&c.scope, pump, &c.back) ||
	    urt_scope_go(&c.scope, watch, &c))
		urt_scope_cancel(&c.scope); /* no memory for one of them */
	urt_scope_close(&c.scope); /* waits for all: they use our stack */
	urt_close(target);
}

static void first(void *arg)
{
	int signals = urt_signal_open(SIGINT, SIGTERM, 0);
	int listener = urt_listen(from, URT_NEVER);

	if (listener < 0)
		errx(1, "%s: %s", from, strerror(-listener));
	urt_scope_open(&server, URT_NEVER);
	urt_serve(&server, listener, forward, NULL);
	urt_signal_wait(signals, NULL, URT_NEVER);
	urt_scope_cancel(&server); /* also the scopes of all connections */
	urt_scope_close(&server);
	urt_close(listener);
}

int main(int argc, char **argv)
{
	if (argc != 3 && argc != 4)
		errx(1, "usage: proxy FROM TO [SECONDS]");
	from = argv[1];
	to = argv[2];
	if (argc == 4)
		idle_ms = atof(argv[3]) * 1000;
	if (urt_run(first, NULL))
		errx(1, "%s", urt_why());
	return 0;
}
