/*
 * Takes TLS connections and passes them on to a server that speaks without.
 *
 *	cc tlsproxy.c $(pkg-config --cflags --libs uring_rt_tls) -o tlsproxy
 *	./tlsproxy :8443 127.0.0.1:8080 certificate.pem key.pem
 */
#include <err.h>
#include <signal.h>
#include <string.h>
#include <urt_tls.h>
#define SECONDS(n) ((n)*INT64_C(1000000000))

static const char *target;

struct way {
	struct urt_stream *from, *to;
	int to_fd;
};

/* Until the one side's end, which is passed on to the other. */
static int pass(void *arg)
{
	struct way *way = arg;
	char b[16384];
	ssize_t n;

	while ((n = urt_stream_read(way->from, b, sizeof(b),
				    urt_after(SECONDS(60)))) > 0)
		if (urt_stream_write(way->to, b, n, urt_after(SECONDS(60))) <
			    n ||
		    (!urt_stream_buffered(way->from) &&
		     urt_stream_flush(way->to, urt_after(SECONDS(60)))))
			return -EPIPE;
	return n;
}

/* The client's end is the server's, which may still answer. */
static int pass_up(void *arg)
{
	struct way *way = arg;
	int err = pass(way);

	return err ? err
		   : urt_shutdown(way->to_fd, SHUT_WR, urt_after(SECONDS(10)));
}

static void serve(int fd, void *tls)
{
	struct urt_stream *client, *server;
	struct urt_scope both;
	int to = urt_dial(target, urt_after(SECONDS(10)));

	if (to < 0 ||
	    urt_tls_server(tls, fd, 0, &client, urt_after(SECONDS(10)))) {
		warnx("%s", to < 0 ? strerror(-to) : urt_tls_why());
		urt_close(to);
		return;
	}
	server = urt_stream_new(to, 0);
	if (server) {
		struct way up = { client, server, to },
			   down = { server, client, fd };

		urt_scope_open(&both, URT_NEVER);
		if (!urt_scope_go(&both, pass_up, &up) &&
		    pass(&down) >= 0) /* the server has sent everything */
			urt_tls_shutdown(client, urt_after(SECONDS(10)));
		urt_scope_cancel(&both);
		urt_scope_close(&both);
	}
	urt_tls_end(client, urt_after(SECONDS(10)));
	urt_stream_close(server, 0);
}

static void first(void *arg)
{
	char **argv = arg;
	struct urt_tls_options o = { .certificate = argv[3], .key = argv[4] };
	int signals = urt_signal_open(SIGINT, SIGTERM, 0);
	int listener = urt_listen(argv[1], URT_NEVER);
	struct urt_scope serving;
	struct urt_tls *tls;

	if (listener < 0)
		errx(1, "%s: %s", argv[1], strerror(-listener));
	if (urt_tls_new(&tls, &o))
		errx(1, "%s", urt_tls_why());
	target = argv[2];
	urt_scope_open(&serving, URT_NEVER);
	urt_serve(&serving, listener, serve, tls);
	urt_signal_wait(signals, NULL, URT_NEVER);
	urt_scope_cancel(&serving);
	urt_scope_close(&serving);
	urt_close(listener);
	urt_tls_free(tls);
}

int main(int argc, char **argv)
{
	if (argc != 5)
		errx(1, "usage: tlsproxy ADDRESS TARGET CERTIFICATE KEY");
	if (urt_run(first, argv))
		errx(1, "%s", urt_why());
	return 0;
}
