/*
 * A small Redis: PING, GET, SET, INCR, RPUSH and BLPOP of text, pipelined or not. Try
 * redis-cli, and redis-benchmark -t set,get,incr, also with -P 16.
 *	./redis :6379
 * It uses one CPU, as redis-server. A list is a channel, so BLPOP is a select: of the
 * list, and of a channel that is closed when the client leaves.
 */
#define _GNU_SOURCE
#include <err.h>
#include <pthread.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <urt.h>
#define IS(name, n) (c->words == (n) && !strcasecmp(c->word[0], name))
enum { WORDS = 3, WORD_MAX = 4096, KEYS = 1 << 20, LIST_MAX = 1 << 16 };

struct item {
	char *string;
	struct urt_chan *list; /* of char * */
};
struct client {
	int fd, words;
	char word[WORDS][WORD_MAX + 3], answer[2 * WORD_MAX + 64];
	struct urt_stream *stream;
	struct urt_chan *gone;
};
/* Of the table. pthread's: a coroutine that holds one is not preempted. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct item *find(char *key)
{
	ENTRY *e = hsearch((ENTRY){ .key = key }, ENTER);

	if (!e)
		errx(1, "more than %d keys", KEYS);
	if (!e->data) {
		e->key = strdup(key);
		e->data = calloc(1, sizeof(struct item));
	}
	return e->data;
}

/* What needs the lock. The answer is sent without, since that may wait. */
static void apply(struct client *c, struct item *e)
{
	char *a = c->answer, *end = "", *copy;
	long long n;

	if ((IS("RPUSH", 3) || IS("BLPOP", 3)) && !e->list)
		e->list = urt_chan_new(sizeof(char *), LIST_MAX);
	strcpy(a, IS("PING", 1) ? "+PONG\r\n" : "-ERR no such command\r\n");
	if (IS("GET", 2)) {
		sprintf(a, e->string ? "$%zu\r\n%s\r\n" : "$-1\r\n",
			e->string ? strlen(e->string) : 0, e->string);
	} else if (IS("SET", 3)) {
		free(e->string);
		e->string = strdup(c->word[2]);
		strcpy(a, "+OK\r\n");
	} else if (IS("INCR", 2)) {
		n = e->string ? strtoll(e->string, &end, 10) : 0;
		sprintf(a, *end ? "-ERR no number\r\n" : ":%lld\r\n", n + 1);
		if (!*end) {
			free(e->string);
			e->string = strndup(a + 1, strlen(a) - 3);
		}
	} else if (IS("RPUSH", 3)) {
		copy = strdup(c->word[2]);
		n = urt_chan_send(e->list, &copy, 0);
		sprintf(a, n ? "-ERR full\r\n" : ":%zu\r\n",
			urt_chan_len(e->list));
		free(n ? copy : NULL);
	}
}

static int watch(void *arg)
{
	struct client *c = arg;

	urt_poll(c->fd, POLLRDHUP, URT_NEVER);
	urt_chan_close(c->gone);
	return 0;
}

static void blpop(struct client *c, struct urt_chan *list)
{
	double seconds = atof(c->word[2]);
	char *key = c->word[1], *element = NULL;
	struct urt_case either[2] = { { list, URT_RECV, &element, 0 } };
	struct urt_scope scope;

	if (urt_chan_recv(list, &element, 0)) { /* it is empty */
		urt_stream_flush(c->stream, URT_NEVER);
		either[1].chan = c->gone = urt_chan_new(0, 0);
		urt_scope_open(&scope, URT_NEVER);
		urt_scope_go(&scope, watch, c);
		urt_select(either, 2,
			   seconds ? urt_after(seconds * 1e9) : URT_NEVER);
		urt_scope_cancel(&scope);
		urt_scope_close(&scope);
		urt_chan_free(c->gone);
	}
	strcpy(c->answer, "*-1\r\n");
	if (element)
		sprintf(c->answer, "*2\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n",
			strlen(key), key, strlen(element), element);
	free(element);
}

static long number(struct client *c, char kind)
{
	char *line = "";

	urt_stream_read_line(c->stream, &line, NULL, URT_NEVER);
	return *line == kind ? atol(line + 1) : -1;
}

/* False: the client has gone, or does not speak the protocol. */
static bool read_words(struct client *c)
{
	int i = 0;

	for (c->words = number(c, '*'); i < c->words && i < WORDS; i++) {
		long len = number(c, '$');

		if (len < 0 || len > WORD_MAX ||
		    urt_stream_read_full(c->stream, c->word[i], len + 2,
					 URT_NEVER) != len + 2)
			return false;
		c->word[i][len] = 0;
	}
	return i && i == c->words;
}

static void serve(int fd, void *arg)
{
	struct client mine = { .fd = fd, .stream = urt_stream_new(fd, 0) };
	struct client *c = &mine;

	while (c->stream && read_words(c)) {
		pthread_mutex_lock(&lock);
		struct item *e = find(c->words > 1 ? c->word[1] : "");
		apply(c, e);
		pthread_mutex_unlock(&lock);
		if (IS("BLPOP", 3))
			blpop(c, e->list);
		urt_stream_write(c->stream, c->answer, strlen(c->answer),
				 URT_NEVER);
		/* More commands may be here already. */
		if (!urt_stream_buffered(c->stream) &&
		    urt_stream_flush(c->stream, URT_NEVER))
			break;
	}
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
