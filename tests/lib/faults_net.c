// SPDX-License-Identifier: MIT
/* The programs of faults.h that use connections: echo, and lines over streams. */
#define _GNU_SOURCE
#include "faults.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#define CLIENTS 3
#define MESSAGE 5000

static struct sockaddr_in echo_at;

static int listener;

/* Otherwise each small rest waits 40 ms for an acknowledgement. */
static void at_once(int fd)
{
	NEVER(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 },
			 sizeof(int)));
}

static int echo_on(int fd)
{
	char buf[2000];
	ssize_t n;

	while ((n = TRY(urt_recv(fd, buf, sizeof(buf), 0, never))))
		for (ssize_t i = 0; i < n;)
			i += TRY(urt_send(fd, buf + i, n - i, MSG_NOSIGNAL,
					  never));
	return 0;
}

static int echo_lent_on(int fd)
{
	void *data;
	ssize_t n;

	while ((n = TRY(urt_recv_lent(fd, &data, 0, never)))) {
		int ret = fault_write_all(fd, data, n);

		urt_lent_return(data);
		TRY(ret);
	}
	return 0;
}

static bool lent;

static int echo_one(void *arg)
{
	int fd = (intptr_t)arg, ret;

	at_once(fd);
	ret = lent ? echo_lent_on(fd) : echo_on(fd);
	urt_close(fd);
	return ret;
}

static int echo_server(void *arg)
{
	struct urt_scope *s = arg;

	for (int i = 0; i < CLIENTS; i++) {
		int fd = TRY(
			urt_accept(listener, NULL, NULL, SOCK_CLOEXEC, never));
		int err = urt_scope_go(s, echo_one, (void *)(intptr_t)fd);

		if (err)
			close(fd);
		TRY(err);
	}
	return 0;
}

/* Writing and reading in turns. */
static int echo_talk(int fd)
{
	char out[MESSAGE], in[MESSAGE];

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = i * 7 + fd;
	TRY(urt_connect(fd, (void *)&echo_at, sizeof(echo_at), never));
	for (int round = 0; round < 2; round++) {
		TRY(fault_write_all(fd, out, sizeof(out)));
		for (size_t n, done = 0; done < sizeof(in); done += n) {
			n = TRY(urt_recv(fd, in + done, sizeof(in) - done, 0,
					 urt_after(20000 * MS)));
			NEVER(!n && !atomic_load(&fault_errors));
			if (!n)
				return -EPIPE;
		}
		NEVER(memcmp(in, out, sizeof(in)));
	}
	return 0;
}

static int echo_client(void *arg)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), ret;

	at_once(fd);
	ret = echo_talk(fd);
	urt_close(fd);
	return ret;
}

int fault_echo(void)
{
	socklen_t len = sizeof(echo_at);
	struct urt_scope s;
	int err = 0;

	echo_at = (struct sockaddr_in){ .sin_family = AF_INET };
	echo_at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	NEVER(bind(listener, (void *)&echo_at, len));
	NEVER(getsockname(listener, (void *)&echo_at, &len));
	NEVER(listen(listener, CLIENTS));
	NEVER(urt_scope_open(&s, never));
	err = urt_scope_go(&s, echo_server, &s);
	for (int i = 0; i < CLIENTS && !err; i++)
		err = urt_scope_go(&s, echo_client, NULL);
	if (err)
		urt_scope_cancel(&s);
	if (err)
		atomic_fetch_add(&fault_errors, 1);
	err = urt_scope_close(&s) ?: err;
	close(listener);
	return err;
}

int fault_echo_lent(void)
{
	lent = true;
	return fault_echo();
}

static int serve_lines(struct urt_stream *s)
{
	size_t len;
	char *line;

	while (TRY(urt_stream_read_line(s, &line, &len, never))) {
		TRY(urt_stream_printf(s, never, "%s\n", line));
		TRY(urt_stream_flush(s, never));
	}
	return 0;
}

static int line_server(void *arg)
{
	int fd = TRY(urt_accept(*(int *)arg, NULL, NULL, SOCK_CLOEXEC, never));
	struct urt_stream *s = urt_stream_new(fd, 300);
	int ret;

	if (!s) {
		/* Counted before the client can see its end. */
		atomic_fetch_add(&fault_errors, 1);
		urt_close(fd);
		return -ENOMEM;
	}
	ret = serve_lines(s);
	urt_stream_close(s, never);
	return ret;
}

static int ask_lines(struct urt_stream *s)
{
	char *line;

	for (int i = 0; i < 3; i++) {
		TRY(urt_stream_printf(s, never, "line %d\n", i));
		TRY(urt_stream_flush(s, never));
		if (!TRY(urt_stream_read_line(s, &line, NULL, never))) {
			NEVER(!atomic_load(&fault_errors));
			return -EPIPE;
		}
		NEVER(strncmp(line, "line ", 5) || line[5] != '0' + i);
	}
	return 0;
}

static int line_client(void *arg)
{
	struct urt_stream *s;
	char address[32];
	int fd, ret;

	snprintf(address, sizeof(address), "localhost:%d", *(int *)arg);
	fd = TRY(urt_dial(address, never));
	s = urt_stream_new(fd, 300);
	ret = s ? ask_lines(s) : -ENOMEM;
	if (!s)
		urt_close(fd);
	else
		urt_stream_close(s, never);
	return TRY(ret);
}

int fault_lines(void)
{
	int fd = TRY(urt_listen("127.0.0.1:0", never)), port, err;
	struct urt_addr a;
	struct urt_scope s;

	NEVER(urt_addr_local(fd, &a));
	port = ntohs(((struct sockaddr_in *)&a.sa)->sin_port);
	NEVER(urt_scope_open(&s, never));
	err = urt_scope_go(&s, line_server, &fd);
	err = err ?: urt_scope_go(&s, line_client, &port);
	if (err) {
		atomic_fetch_add(&fault_errors, 1);
		urt_scope_cancel(&s);
	}
	err = urt_scope_close(&s) ?: err;
	urt_close(fd);
	return err;
}
