/*
 * A small Redis on one CPU: PING, GET, SET, INCR, RPUSH and BLPOP of text, pipelined or
 * not. A list is a channel, so BLPOP is a select: of the list, and of a channel that is
 * closed when the client leaves.	./redis :6379
 */
#define _GNU_SOURCE
#include <err.h>
#include <pthread.h>
#include <search.h>
#include <stdio.h>
#include "resp.h"
enum { KEYS = 1 << 20, LIST_MAX = 1 << 16, PATIENCE_NS = 1000000000 };

struct item {
	char *bulk; /* as an answer: $LENGTH, TEXT */
	struct urt_chan *list;
	char key[];
};
/* Of the table. pthread's: a coroutine that holds one is not preempted. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *got(void *memory)
{
	if (!memory) /* redis-server ends then, too */
		errx(1, "out of memory, or more than %d keys", KEYS);
	return memory;
}

static char *bulk(const char *text)
{
	char *new = got(malloc(strlen(text) + 32));

	sprintf(new, "$%zu\r\n%s\r\n", strlen(text), text);
	return new;
}

static struct item *find(char *key)
{
	ENTRY *e = hsearch((ENTRY){ .key = key }, FIND);
	struct item *i =
		e ? e->data : got(calloc(1, sizeof(*i) + strlen(key) + 1));

	if (!e)
		got(hsearch((ENTRY){ strcpy(i->key, key), i }, ENTER));
	return i;
}

/* What needs the lock. The answer is sent without, since that may wait. */
static void apply(struct client *c, struct item *i)
{
	char *a = c->answer, *old = i->bulk, *end = "\r", *new, next[24];
	long n = old ? strtol(strchr(old, '\n') + 1, &end, 10) : 0;

	strcpy(a, IS("SET", 3)	  ? "+OK\r\n"
		  : IS("PING", 1) ? "+PONG\r\n"
		  : IS("INCR", 2) ? "-ERR no number\r\n"
				  : "-ERR no such command\r\n");
	if ((IS("RPUSH", 3) || IS("BLPOP", 3)) && !i->list)
		i->list = got(urt_chan_new(sizeof(char *), LIST_MAX));
	if (IS("GET", 2))
		strcpy(a, old ? old : "$-1\r\n");
	if (IS("SET", 3))
		i->bulk = bulk(c->word[2]);
	if (IS("INCR", 2) && *end == '\r') {
		sprintf(next, "%ld", (long)(n + 1UL));
		sprintf(a, ":%s\r\n", next);
		i->bulk = bulk(next);
	}
	if (old != i->bulk)
		free(old);
	if (IS("RPUSH", 3)) {
		new = bulk(c->word[2]);
		n = urt_chan_send(i->list, &new, 0);
		free(n ? new : NULL);
		sprintf(a, n ? "-ERR full\r\n" : ":%zu\r\n",
			urt_chan_len(i->list));
	}
}

static void watch(void *arg)
{
	struct client *c = arg;

	urt_poll(c->fd, POLLRDHUP, URT_NEVER);
	urt_chan_close(c->gone);
}

static void blpop(struct client *c, struct urt_chan *list)
{
	double s = atof(c->word[2]);
	char *element = NULL, *key = bulk(c->word[1]);
	struct urt_case either[2] = { { list, URT_RECV, &element, 0 } };

	if (urt_chan_recv(list, &element, 0)) { /* it is empty */
		urt_stream_flush(c->stream, URT_NEVER);
		either[1].chan = c->gone = got(urt_chan_new(0, 0));
		struct urt_coro *watcher = got(urt_spawn(watch, c));
		urt_select(either, 2, s ? urt_after(s * 1e9) : URT_NEVER);
		urt_end(watcher);
		urt_chan_free(c->gone);
	}
	sprintf(c->answer, element ? "*2\r\n%s%s" : "*-1\r\n", key, element);
	free(element);
	free(key);
}

static void serve(int fd, void *arg)
{
	struct client mine = { .fd = fd, .stream = urt_stream_new(fd, 0) };
	struct client *c = &mine;

	while (c->stream && read_words(c)) {
		pthread_mutex_lock(&lock);
		struct item *i = find(c->words > 1 ? c->word[1] : "");
		apply(c, i);
		pthread_mutex_unlock(&lock);
		if (IS("BLPOP", 3))
			blpop(c, i->list);
		urt_stream_printf(c->stream, URT_NEVER, "%s", c->answer);
		/* More commands may be here already. */
		if (!urt_stream_buffered(c->stream))
			urt_stream_flush(c->stream, URT_NEVER);
	}
	if (c->stream && !urt_stream_flush(c->stream, urt_after(PATIENCE_NS)))
		urt_linger(fd, urt_after(PATIENCE_NS)); /* it may say more */
	urt_stream_free(c->stream);
}

static void first(void *arg)
{
	int listener = urt_listen(arg, URT_NEVER);
	struct urt_scope scope;

	if (listener < 0)
		errx(1, "%s: %s", (char *)arg, strerror(-listener));
	urt_scope_open(&scope, URT_NEVER);
	urt_serve(&scope, listener, serve, NULL);
	urt_scope_close(&scope);
}

int main(int argc, char **argv)
{
	struct urt_options options = { .workers = 1 };

	hcreate(KEYS);
	if (urt_run_with(first, argc > 1 ? argv[1] : ":6379", &options))
		errx(1, "%s", urt_why());
	return 0;
}
