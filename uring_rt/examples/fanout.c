/*
 * Asks many HTTP servers at once, and answers with what has come within 50 ms: a part
 * of the results is better than an error, and than waiting for the slowest.
 *
 *	cc fanout.c $(pkg-config --cflags --libs uring_rt) -o fanout
 *	./fanout :8080 127.0.0.1:9001 127.0.0.1:9002 ...
 *	curl 'localhost:8080/price?of=tea'
 *
 * The requests are coroutines of one scope, and its deadline is that of each wait in
 * it: of looking up a name, connecting, sending and receiving.
 */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <urt.h>
#define MS(n) ((n)*INT64_C(1000000))

struct request {
	const char *backend, *path;
	int err;
	char body[200];
};

static char **backends;
static int nr_backends;

/* The beginning of the body: that is the answer. 0 or -errno. */
static int read_answer(struct urt_stream *s, char *body, size_t size)
{
	int status = 0, err;
	size_t len = 0;
	ssize_t n;
	char *line;

	err = urt_stream_read_line(s, &line, NULL, URT_NEVER);
	if (err != 1 || sscanf(line, "HTTP/1.%*d %d", &status) != 1)
		return err < 0 ? err : -EPROTO;
	do {
		err = urt_stream_read_line(s, &line, NULL, URT_NEVER);
		if (err != 1)
			return err ? err : -EPROTO;
		sscanf(line, "%*1[Cc]ontent-%*1[Ll]ength: %zu", &len);
	} while (*line);
	n = urt_stream_read_full(s, body, len < size ? len : size - 1,
				 URT_NEVER);
	if (n < 0)
		return n;
	body[n] = '\0';
	return status == 200 ? 0 : -EREMOTEIO;
}

static int ask(void *arg)
{
	struct request *r = arg;
	int fd = urt_dial(r->backend, URT_NEVER); /* or the scope's deadline */
	struct urt_stream *s = fd < 0 ? NULL : urt_stream_new(fd, 0);

	r->err = fd < 0 ? fd : -ENOMEM;
	if (s) {
		urt_stream_printf(s, URT_NEVER,
				  "GET %s HTTP/1.1\r\nHost: %s\r\n"
				  "Connection: close\r\n\r\n",
				  r->path, r->backend);
		r->err = urt_stream_flush(s, URT_NEVER);
		if (!r->err)
			r->err = read_answer(s, r->body, sizeof(r->body));
	}
	urt_stream_free(s);
	urt_close(fd); /* does nothing if there is none */
	return 0;      /* an error here does not end the others */
}

/* How many of the backends have answered. */
static int ask_all(struct request *r, const char *path)
{
	struct urt_scope all;
	int answers = 0;

	urt_scope_open(&all, urt_after(MS(50)));
	for (int i = 0; i < nr_backends; i++) {
		r[i].backend = backends[i];
		r[i].path = path;
		r[i].err = urt_scope_go(&all, ask, &r[i]);
	}
	urt_scope_close(&all); /* all have returned: r is ours again */
	for (int i = 0; i < nr_backends; i++)
		answers += !r[i].err;
	return answers;
}

static void serve(int fd, void *arg)
{
	struct request *r = calloc(nr_backends, sizeof(*r));
	struct urt_stream *s = urt_stream_new(fd, 0);
	int64_t patience = urt_after(MS(10000));
	char *line, path[500];
	int answers;

	if (r && s && urt_stream_read_line(s, &line, NULL, patience) == 1 &&
	    sscanf(line, "GET %499s HTTP/1.1", path) == 1) {
		while (urt_stream_read_line(s, &line, NULL, patience) == 1 &&
		       *line)
			;
		answers = ask_all(r, path);
		urt_stream_printf(s, patience,
				  "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
				  "%d of %d\n",
				  answers, nr_backends);
		for (int i = 0; i < nr_backends; i++)
			urt_stream_printf(s, patience, "%s: %s\n", r[i].backend,
					  r[i].err == -ETIME ? "late"
					  : r[i].err ? strerror(-r[i].err)
						     : r[i].body);
		urt_stream_flush(s, patience);
		urt_linger(fd, patience); /* what else the client sends */
	}
	urt_stream_free(s);
	free(r);
}

static void first(void *arg)
{
	int signals = urt_signal_open(SIGINT, SIGTERM, 0);
	int listener = urt_listen(arg, URT_NEVER);
	struct urt_scope serving;

	if (listener < 0)
		errx(1, "%s: %s", (char *)arg, strerror(-listener));
	urt_scope_open(&serving, URT_NEVER);
	urt_serve(&serving, listener, serve, NULL);
	urt_signal_wait(signals, NULL, URT_NEVER);
	urt_scope_cancel(&serving);
	urt_scope_close(&serving);
	urt_close(listener);
}

int main(int argc, char **argv)
{
	backends = argv + 2;
	nr_backends = argc - 2;
	if (argc < 3)
		errx(1, "usage: fanout ADDRESS BACKEND...");
	if (urt_run(first, argv[1]))
		errx(1, "%s", urt_why());
	return 0;
}
