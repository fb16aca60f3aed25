/*
 * A static-file HTTP server that ends gracefully: on SIGINT or SIGTERM it takes
 * no new connections, finishes the answers that have begun, and is gone.
 *	cc httpd.c $(pkg-config --cflags --libs uring_rt) -o httpd
 *	./httpd :8080 public/
 */
#include <err.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <urt.h>
#define SECONDS(n) ((n)*INT64_C(1000000000))

static struct urt_waitgroup busy = URT_WAITGROUP_INIT; /* answers begun */
static int root, path_key;
static _Atomic bool stopping;
static _Atomic uint64_t requests; /* each has a span of its own */

/* What is wrong with a line; "": none came. A NUL would end it here, not in a proxy. */
static const char *read_text(struct urt_stream *s, char **line,
			     int64_t deadline_ns)
{
	size_t len;
	int ret = urt_stream_read_line(s, line, &len, deadline_ns);

	if (ret != 1)
		return ret == -EMSGSIZE ? "431 Request Header Fields Too Large"
					: "";
	return strcspn(*line, "\r") == len ? NULL : "400 Bad Request";
}

/* Whether the header announces a body, which we would take for the next request, or
 * could be read in two ways: a proxy in front of us may see other requests. */
static bool has_body(const char *line)
{
	return !strncasecmp(line, "Transfer-Encoding", 17) || *line == ' ' ||
	       *line == '\t' ||
	       (!strncasecmp(line, "Content-Length", 14) &&
		strcasecmp(line + 14, ": 0"));
}

/* What is wrong with a request line, and its path without the first slash. */
static const char *read_path(const char *line, char path[1000])
{
	if (!strstr(line, " HTTP/1."))
		return "400 Bad Request";
	if (strncmp(line, "GET /", 5))
		return "405 Method Not Allowed\r\nAllow: GET";
	strcpy(path, "index.html");
	sscanf(line + 5, "%999[^ ?]", path); /* unless there is none */
	return strlen(path) == 999 ? "414 URI Too Long" : NULL;
}

/* False: the connection is of no more use. A request that is refused may be long,
 * and is dropped: a close would reset the connection before the answer is read. */
static bool read_request(struct urt_stream *s, int fd, char path[1000])
{
	int64_t deadline_ns = urt_after(SECONDS(30));
	struct urt_context ctx = { 0 };
	char *line;
	const char *wrong = read_text(s, &line, deadline_ns);

	if (!wrong && !(wrong = read_path(line, path)))
		urt_context_add(&ctx, path_key, path);
	while (!wrong && !(wrong = read_text(s, &line, deadline_ns)) && *line) {
		if (!strncasecmp(line, "traceparent: ", 13))
			urt_context_from_traceparent(&ctx, line + 13);
		if (has_body(line))
			wrong = "413 Content Too Large";
	}
	memcpy(ctx.span_id, &(uint64_t){ ++requests }, sizeof(requests));
	if (!wrong)
		return !urt_context_set(&ctx);
	if (*wrong) {
		urt_stream_printf(s, deadline_ns,
				  "HTTP/1.1 %s\r\nContent-Length: 0\r\n"
				  "Connection: close\r\n\r\n",
				  wrong);
		urt_stream_flush(s, deadline_ns);
		urt_linger(fd, deadline_ns);
	}
	return false;
}

/* False: the connection is of no more use. */
static bool answer(struct urt_stream *s, int fd, const char *path)
{
	/* RESOLVE_BENEATH: the kernel refuses what leaves the root. */
	struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
				.resolve = RESOLVE_BENEATH };
	int64_t deadline_ns = urt_after(SECONDS(60));
	struct stat st = { 0 };
	int file = urt_openat2(root, path, &how, sizeof(how), deadline_ns);
	bool found = file >= 0 && !fstat(file, &st) && S_ISREG(st.st_mode);
	off_t sent = 0, size = found ? st.st_size : 0;

	urt_stream_printf(s, deadline_ns,
			  "HTTP/1.1 %s\r\nContent-Length: %jd\r\n\r\n",
			  found ? "200 OK" : "404 Not Found", (intmax_t)size);
	if (!urt_stream_flush(s, deadline_ns) && found)
		urt_sendfile(fd, file, &sent, size, deadline_ns);
	urt_close(file); /* does nothing if it is none */
	return sent == size;
}

static void serve(int fd, void *arg)
{
	struct urt_stream *s = urt_stream_new(fd, 0);
	char path[1000];
	bool more = s;

	while (more && read_request(s, fd, path)) {
		urt_waitgroup_add(&busy, 1);
		more = answer(s, fd, path) && !stopping;
		urt_waitgroup_done(&busy);
		urt_context_set(NULL); /* the next request is not known yet */
	}
	urt_stream_free(s);
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
	stopping = true;
	urt_shutdown(listener, SHUT_RD, URT_NEVER); /* no new ones */
	urt_waitgroup_wait(&busy, urt_after(SECONDS(10)));
	urt_scope_cancel(&serving); /* idle connections, and the very slow */
	urt_scope_close(&serving);
	urt_close(listener);
}

int main(int argc, char **argv)
{
	path_key = urt_context_key("url.path"); /* for urt stat --by context */
	root = open(argc > 2 ? argv[2] : ".", O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || urt_run(first, argc > 1 ? argv[1] : ":8080"))
		errx(1, "%s", root < 0 ? "no such directory" : urt_why());
}
