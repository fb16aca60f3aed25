/*
 * A chat room. Its list of members belongs to one coroutine, to which the
 * others send events: no lock, since what is shared has one owner.
 *	./chat :7778          and several times: nc localhost 7778
 * Members that say nothing for an hour, or do not read for 10 s, are dropped; the
 * second argument is both in seconds.
 */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <urt.h>

#define LINE 256
static int64_t silent_ns = 3600 * INT64_C(1000000000);
static int64_t deaf_ns = 10 * INT64_C(1000000000);

struct member {
	struct urt_chan *lines; /* to be shown to it: char[LINE] */
	struct urt_stream *stream;
	int fd;
	struct member *next;
};
struct event {
	struct member *who;
	bool leaves;
	char line[LINE];
};
static struct urt_chan *events;

static void room(void *arg)
{
	struct member *members = arg, **p;
	struct event e;

	while (!urt_chan_recv(events, &e, URT_NEVER)) {
		for (p = &members; *p && *p != e.who; p = &(*p)->next)
			;
		*p = e.leaves ? e.who->next : e.who; /* also a new one */
		if (e.leaves)
			urt_chan_close(e.who->lines); /* not used here again */
		for (struct member *m = members; m; m = m->next)
			urt_chan_send(m->lines, e.line, 0); /* or skip it */
	}
	while (members) {
		struct urt_chan *lines = members->lines;

		members = members->next;
		urt_chan_close(lines); /* its member may end now */
	}
}

/* Until the room closes the lines: it uses them until then, deaf or not. */
static int show(void *arg)
{
	struct member *m = arg;
	char line[LINE];
	bool deaf = false;

	while (!urt_chan_recv(m->lines, line, URT_NEVER)) {
		int64_t deadline_ns = urt_after(deaf_ns);

		if (deaf || (urt_stream_printf(m->stream, deadline_ns, "%s\n",
					       line) > 0 &&
			     !urt_stream_flush(m->stream, deadline_ns)))
			continue;
		deaf = true;
		urt_shutdown(m->fd, SHUT_RDWR,
			     URT_NEVER); /* ends its reading */
	}
	return 0;
}

static void attend(int fd, void *arg)
{
	struct member m = { .lines = urt_chan_new(LINE, 16),
			    .stream = urt_stream_new(fd, 512),
			    .fd = fd };
	struct event e = { .who = &m, .line = "(one more)" };
	struct urt_scope mine;
	char *line;

	urt_scope_open(&mine, URT_NEVER);
	if (!m.lines || !m.stream || urt_scope_go(&mine, show, &m))
		goto out; /* no memory; one writes, one reads */
	if (urt_chan_send(events, &e, URT_NEVER)) {
		urt_scope_cancel(&mine); /* the room does not know us */
		goto out;
	}
	while (urt_stream_read_line(m.stream, &line, NULL,
				    urt_after(silent_ns)) == 1) {
		snprintf(e.line, LINE, "%s", line);
		urt_chan_send(events, &e, URT_NEVER);
	}
	e.leaves = true;
	strcpy(e.line, "(one less)");
	/* If this fails, the room is ending. It may still show lines to us. */
	urt_chan_send(events, &e, URT_NEVER);
out:
	urt_scope_close(&mine); /* `show` and the room use our stack */
	urt_stream_free(m.stream);
	urt_chan_free(m.lines);
}

static void first(void *arg)
{
	int signals = urt_signal_open(SIGINT, SIGTERM, 0);
	int listener = urt_listen(arg, URT_NEVER);
	struct urt_coro *owner = urt_spawn(room, NULL);
	struct urt_scope people;

	if (listener < 0 || !owner)
		errx(1, "%s: %s", (char *)arg,
		     strerror(listener < 0 ? -listener : ENOMEM));
	urt_scope_open(&people, URT_NEVER);
	urt_serve(&people, listener, attend, NULL);
	urt_signal_wait(signals, NULL, URT_NEVER);
	urt_chan_close(events); /* so the room ends before its members do */
	urt_join(owner);
	urt_scope_cancel(&people);
	urt_scope_close(&people);
	urt_close(listener);
}

int main(int argc, char **argv)
{
	if (argc > 2)
		silent_ns = deaf_ns = atof(argv[2]) * 1e9;
	events = urt_chan_new(sizeof(struct event), 0);
	if (!events || urt_run(first, argc > 1 ? argv[1] : ":7778"))
		errx(1, "%s", events ? urt_why() : "out of memory");
	return 0;
}
