// SPDX-License-Identifier: MIT
#ifdef URT_HAVE_TLS
#define _GNU_SOURCE
#include "relay.h"
#include "../../tools/lib/net.h"
#include "../../uring_rt/urt_tls.h"
#include "test.h"
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

static int listener;
static char target[32];

struct way {
	struct urt_stream *from, *to;
	int fd; /* of a plain `to`; -1: it has TLS */
};

/* Until the one side's end, which is passed on; an error ends both ways. */
static int pass(void *arg)
{
	struct way *way = arg;
	char b[16384];
	ssize_t n;

	while ((n = urt_stream_read(way->from, b, sizeof(b), URT_NEVER)) > 0)
		if (urt_stream_write(way->to, b, n, URT_NEVER) < n ||
		    urt_stream_flush(way->to, URT_NEVER))
			return -EPIPE;
	if (n < 0)
		return n;
	return way->fd < 0 ? urt_tls_shutdown(way->to, URT_NEVER)
			   : urt_shutdown(way->fd, SHUT_WR, URT_NEVER);
}

static void relay(int fd, void *tls)
{
	int to = urt_dial(target, URT_NEVER);
	struct urt_stream *client, *server;
	struct urt_scope both;

	if (to < 0)
		return;
	if (!urt_tls_client(tls, to, "localhost", 0, &server, URT_NEVER)) {
		client = urt_stream_new(fd, 0);
		urt_scope_open(&both, URT_NEVER);
		urt_scope_go(&both, pass, &(struct way){ client, server, -1 });
		urt_scope_go(&both, pass, &(struct way){ server, client, fd });
		urt_scope_close(&both);
		urt_stream_free(server);
		urt_stream_free(client);
	}
	urt_close(to);
}

static void first(void *arg)
{
	struct urt_tls_options o = { .insecure = true };
	struct urt_scope relays;
	struct urt_tls *tls;

	(void)arg;
	ck_assert(!urt_tls_new(&tls, &o));
	urt_scope_open(&relays, URT_NEVER);
	urt_serve(&relays, listener, relay, tls);
	urt_scope_close(&relays);
}

pid_t relay_start(int *port, int server_port)
{
	pid_t pid;

	*port = 0;
	listener = net_listen(port);
	ck_assert_int_ge(listener, 0);
	snprintf(target, sizeof(target), "127.0.0.1:%d", server_port);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* also if the test fails */
		urt_run(first, NULL);
		_exit(1);
	}
	close(listener);
	return pid;
}

#endif
