/*
 * An HTTPS server that answers each request with the request's own text. It
 * ends on SIGINT or SIGTERM.
 *
 *	cc https.c $(pkg-config --cflags --libs uring_rt_tls) -o https
 *	./https :8443 certificate.pem key.pem
 *
 * HTTP/1.1 is read by hand, as far as a GET needs it: neither llhttp nor
 * picohttpparser is in all distributions. A server that takes bodies needs one.
 */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <urt_tls.h>
#define SECONDS(n) ((n)*INT64_C(1000000000))

/* False: no request, or the last one. */
static bool answer(struct urt_stream *s)
{
	int64_t deadline_ns = urt_after(SECONDS(30));
	char *line, path[200];
	bool more = true;

	if (urt_stream_read_line(s, &line, NULL, deadline_ns) != 1)
		return false;
	if (sscanf(line, "GET %199s HTTP/1.1", path) != 1) {
		urt_stream_printf(s, deadline_ns,
				  "HTTP/1.1 400 Bad Request\r\n"
				  "Content-Length: 0\r\n"
				  "Connection: close\r\n\r\n");
		return false; /* urt_tls_end sends it */
	}
	do {
		if (urt_stream_read_line(s, &line, NULL, deadline_ns) != 1)
			return false;
		more &= strcasecmp(line, "Connection: close") != 0;
	} while (*line);
	urt_stream_printf(s, deadline_ns,
			  "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s\n",
			  strlen(path) + 1, path);
	/* Requests that are here already are answered in the same record. */
	if (!urt_stream_buffered(s) && urt_stream_flush(s, deadline_ns))
		return false;
	return more;
}

static void serve(int fd, void *tls)
{
	struct urt_stream *s;

	if (urt_tls_server(tls, fd, 0, &s, urt_after(SECONDS(10)))) {
		warnx("%s", urt_tls_why());
		return;
	}
	while (answer(s))
		;
	urt_tls_end(s, urt_after(SECONDS(10)));
}

static void first(void *arg)
{
	static const char *const protocols[] = { "http/1.1", NULL };
	char **argv = arg;
	struct urt_tls_options o = { .certificate = argv[2],
				     .key = argv[3],
				     .protocols = protocols };
	int signals = urt_signal_open(SIGINT, SIGTERM, 0);
	int listener = urt_listen(argv[1], URT_NEVER);
	struct urt_scope serving;
	struct urt_tls *tls;

	if (listener < 0)
		errx(1, "%s: %s", argv[1], strerror(-listener));
	if (urt_tls_new(&tls, &o))
		errx(1, "%s", urt_tls_why());
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
	if (argc != 4)
		errx(1, "usage: https ADDRESS CERTIFICATE KEY");
	if (urt_run(first, argv))
		errx(1, "%s", urt_why());
	return 0;
}
