/*
 * A TCP proxy: what comes at one address goes to another, both ways.
 *
 *	cc proxy.c $(pkg-config --cflags --libs uring_rt) -o proxy
 *	./proxy :8080 example.org:80       or ./proxy :8080 unix:/run/x.sock
 *
 * A connection is two coroutines, one for each direction, in a scope of their
 * own: when it is closed, both have ended and the descriptors can go.
 */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <urt.h>

#define DIAL_NS (10 * INT64_C(1000000000))

static struct urt_scope server;
static const char *from, *to;

struct direction {
	int in, out;
};

static int pump(void *arg)
{
	struct direction *d = arg;
	int err = urt_copy(d->in, d->out, SIZE_MAX, NULL, URT_NEVER);

	/* The end of one direction is told to the other side, which may still
	 * have something to say. An error ends both: it cancels the scope. */
	urt_shutdown(d->out, SHUT_WR, URT_NEVER);
	return err;
}

static void forward(int client, void *arg)
{
	int target = urt_dial(to, urt_after(DIAL_NS));
	struct direction there = { client, target }, back = { target, client };
	struct urt_scope both;

	if (target < 0) {
		fprintf(stderr, "%s: %s\n", to, strerror(-target));
		return;
	}
	urt_scope_open(&both, URT_NEVER);
	if (urt_scope_go(&both, pump, &there) ||
	    urt_scope_go(&both, pump, &back))
		urt_scope_cancel(&both); /* no memory for one of them */
	urt_scope_close(&both); /* waits for both: they use our stack */
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
	if (argc != 3)
		errx(1, "usage: proxy FROM TO");
	from = argv[1];
	to = argv[2];
	if (urt_run(first, NULL))
		errx(1, "%s", urt_why());
	return 0;
}
