/*
 * Server-sent events: each message is shown to all listeners, each for as long as it
 * stays. So each waits for two things: a message, or that its client leaves.
 *
 *	./events :8080
 *	curl -N localhost:8080/events                  several times
 *	curl localhost:8080/publish?hello              says how many are told
 *
 * select waits for channels. An event without a channel, here the other side's end,
 * gets one by a coroutine that waits for the event and then closes the channel.
 */
#define _GNU_SOURCE
#include <err.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <urt.h>
#define SECONDS(n) ((n)*INT64_C(1000000000))
#define TEXT	   500

struct listener {
	int fd;
	struct urt_chan *messages, *gone; /* char[TEXT]; nothing */
	struct listener *next;
};

/* Of the list. A pthread lock will do, since nothing waits that holds it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct listener *listeners;

static int watch(void *arg)
{
	struct listener *l = arg;

	urt_poll(l->fd, POLLRDHUP, URT_NEVER);
	urt_chan_close(l->gone);
	return 0;
}

/* Until the client leaves, or takes nothing. */
static void show(struct listener *l, struct urt_stream *s)
{
	char text[TEXT];
	struct urt_case cases[] = { { l->messages, URT_RECV, text, 0 },
				    { l->gone, URT_RECV, NULL, 0 } };
	int i = -ETIME;

	urt_stream_printf(s, URT_NEVER,
			  "HTTP/1.1 200 OK\r\n"
			  "Content-Type: text/event-stream\r\n\r\n");
	do {
		if (i == 0)
			urt_stream_printf(s, URT_NEVER, "data: %s\n\n", text);
		else /* so that no proxy thinks that we have gone */
			urt_stream_printf(s, URT_NEVER, ": still here\n\n");
		if (urt_stream_flush(s, urt_after(SECONDS(10))))
			break;
		i = urt_select(cases, 2, urt_after(SECONDS(15)));
	} while (i == 0 || i == -ETIME);
}

static void listen_to_all(int fd, struct urt_stream *s)
{
	struct listener **p, l = { .fd = fd,
				   .messages = urt_chan_new(TEXT, 16),
				   .gone = urt_chan_new(0, 0) };
	struct urt_scope scope;

	urt_scope_open(&scope, URT_NEVER);
	if (!l.messages || !l.gone || urt_scope_go(&scope, watch, &l))
		goto out; /* no memory: the client may come again */
	pthread_mutex_lock(&lock);
	l.next = listeners;
	listeners = &l;
	pthread_mutex_unlock(&lock);
	show(&l, s);
	pthread_mutex_lock(&lock);
	for (p = &listeners; *p != &l; p = &(*p)->next)
		;
	*p = l.next;
	pthread_mutex_unlock(&lock);
	urt_scope_cancel(&scope);
out:
	urt_scope_close(&scope); /* `watch` uses our stack */
	urt_chan_free(l.messages);
	urt_chan_free(l.gone);
}

/* To all that keep up; how many these are. NULL: how many listen. */
static int publish(const char *text)
{
	int n = 0;

	pthread_mutex_lock(&lock);
	for (struct listener *l = listeners; l; l = l->next)
		n += !text || !urt_chan_send(l->messages, text, 0);
	pthread_mutex_unlock(&lock);
	return n;
}

static void serve(int fd, void *arg)
{
	struct urt_stream *s = urt_stream_new(fd, 0);
	int64_t deadline_ns = urt_after(SECONDS(10));
	char *line, path[20], text[TEXT] = "";
	int words = 0;

	if (s && urt_stream_read_line(s, &line, NULL, deadline_ns) == 1)
		words = sscanf(line, "GET %19[^ ?]?%499[^ ]", path, text);
	while (words > 0 &&
	       urt_stream_read_line(s, &line, NULL, deadline_ns) == 1 && *line)
		;
	if (words > 0 && !strcmp(path, "/events")) {
		listen_to_all(fd, s);
	} else if (s) {
		urt_stream_printf(
			s, deadline_ns,
			"HTTP/1.1 %s\r\nConnection: close\r\n\r\n%d\n",
			words > 0 ? "200 OK" : "400 Bad Request",
			publish(*text ? text : NULL));
		urt_stream_flush(s, deadline_ns);
		urt_linger(fd, deadline_ns); /* the client may say more */
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
	urt_scope_cancel(&serving);
	urt_scope_close(&serving);
	urt_close(listener);
}

int main(int argc, char **argv)
{
	if (urt_run(first, argc > 1 ? argv[1] : ":8080"))
		errx(1, "%s", urt_why());
	return 0;
}
