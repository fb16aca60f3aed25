// SPDX-License-Identifier: MIT
/*
 * GET /metrics, for a few clients at a time. One thread and poll(2), since a
 * scrape comes every few seconds: a client that sends half a request, or reads
 * nothing, must not delay others and is dropped after PATIENCE_NS, or before if
 * all places are taken. No client can make memory grow.
 */
#define _GNU_SOURCE
#include "metrics.h"
#include "../lib/privileges.h"
#include "../lib/tool.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS_MAX 16
#define REQUEST_MAX 4096
#define PATIENCE_NS (10 * NS_PER_S)

struct client {
	int fd; /* -1: free */
	int64_t until_ns;
	char request[REQUEST_MAX + 1];
	size_t len;
	char *answer; /* NULL: not asked yet */
	size_t answer_len, sent;
	bool answered; /* further data are dropped, up to the end: a close would
			  reset the connection, and destroy the answer */
};

static struct client client[CLIENTS_MAX];

static void forget(struct client *c)
{
	close(c->fd);
	free(c->answer);
	memset(c, 0, sizeof(*c));
	c->fd = -1;
}

/* The head and body of an answer, in memory of its own. */
static void answer(struct client *c, const char *status, const char *type,
		   const char *body, size_t len)
{
	FILE *f = open_memstream(&c->answer, &c->answer_len);

	if (!f)
		return;
	fprintf(f,
		"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
		"Connection: close\r\n\r\n",
		status, type, len);
	fwrite(body, 1, len, f);
	if (fclose(f))
		c->answer_len = 0;
}

static void answer_metrics(struct client *c, struct collector *counts)
{
	bool openmetrics =
		strcasestr(c->request, "application/openmetrics-text");
	char *body = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&body, &len);

	if (f) {
		metrics_write(f, counts, openmetrics);
		if (fclose(f))
			len = 0;
	}
	if (len)
		answer(c, "200 OK",
		       openmetrics ? "application/openmetrics-text; "
				     "version=1.0.0; charset=utf-8"
				   : "text/plain; version=0.0.4; charset=utf-8",
		       body, len);
	free(body);
}

static void answer_text(struct client *c, const char *status, const char *text)
{
	answer(c, status, "text/plain; charset=utf-8", text, strlen(text));
}

static void understand(struct client *c, struct collector *counts)
{
	static const char metrics[] = "GET /metrics ", root[] = "GET / ";

	if (!strncmp(c->request, metrics, strlen(metrics)))
		answer_metrics(c, counts);
	else if (!strncmp(c->request, root, strlen(root)))
		answer_text(c, "200 OK", "urt export: see /metrics\n");
	else if (strncmp(c->request, "GET ", 4))
		answer_text(c, "405 Method Not Allowed", "only GET\n");
	else
		answer_text(c, "404 Not Found", "only /metrics\n");
	if (!c->answer_len)
		forget(c);
}

static void receive(struct client *c, struct collector *counts)
{
	ssize_t n;

	if (c->answered)
		c->len = 0;
	n = recv(c->fd, c->request + c->len, REQUEST_MAX - c->len, 0);

	if (n <= 0) {
		if (!n || (errno != EAGAIN && errno != EINTR))
			forget(c);
		return;
	}
	if (c->answered)
		return;
	c->len += n;
	c->request[c->len] = '\0';
	if (memmem(c->request, c->len, "\r\n\r\n", 4))
		understand(c, counts);
	else if (c->len == REQUEST_MAX)
		answer_text(c, "431 Request Header Fields Too Large", "");
}

static void send_more(struct client *c)
{
	ssize_t n = send(c->fd, c->answer + c->sent, c->answer_len - c->sent,
			 MSG_NOSIGNAL);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		c->sent += n;
	if (n > 0 && c->sent < c->answer_len)
		return;
	if (n <= 0 || shutdown(c->fd, SHUT_WR))
		forget(c);
	else
		c->answered = true;
}

/* A free place, or else that of the client that is here for longest. */
static struct client *place(void)
{
	struct client *oldest = &client[0];

	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		if (client[i].fd < 0)
			return &client[i];
		if (client[i].until_ns < oldest->until_ns)
			oldest = &client[i];
	}
	forget(oldest);
	return oldest;
}

static void take_client(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct client *c;

	if (fd < 0)
		return;
	c = place();
	c->fd = fd;
	c->until_ns = now_ns() + PATIENCE_NS;
}

static bool is_sending(const struct client *c)
{
	return c->answer && !c->answered;
}

/* One round; false: a signal asks to end. */
static bool serve_once(int listener, int signals, struct collector *counts)
{
	struct pollfd fds[CLIENTS_MAX + 2] = {
		{ .fd = listener, .events = POLLIN },
		{ .fd = signals, .events = POLLIN },
	};
	int64_t now;

	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		fds[i + 2] = (struct pollfd){ client[i].fd,
					      is_sending(&client[i]) ? POLLOUT
								     : POLLIN,
					      0 };
	if (poll(fds, ARRAY_LEN(fds), 1000) < 0)
		return true;
	now = now_ns();
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		if (client[i].fd < 0)
			continue;
		if (now > client[i].until_ns) /* even if it sends on */
			forget(&client[i]);
		else if (fds[i + 2].revents && is_sending(&client[i]))
			send_more(&client[i]);
		else if (fds[i + 2].revents)
			receive(&client[i], counts);
	}
	if (fds[0].revents)
		take_client(listener);
	return !fds[1].revents;
}

/* ADDRESS:PORT, or [ADDRESS]:PORT; -1: an error message was printed. */
static int listen_at(const char *text)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_PASSIVE | AI_NUMERICHOST |
					      AI_NUMERICSERV },
			*found = NULL;
	char host[64];
	const char *colon = strrchr(text, ':');
	bool bracket = *text == '[' && colon && colon > text + 1;
	int fd = -1, on = 1;

	if (!colon || (size_t)(colon - text) >= sizeof(host) ||
	    (bracket && colon[-1] != ']'))
		goto out;
	snprintf(host, sizeof(host), "%.*s", (int)(colon - text) - 2 * bracket,
		 text + bracket);
	if (getaddrinfo(host, colon + 1, &hints, &found))
		goto out;
	fd = socket(found->ai_family,
		    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd >= 0 &&
	    (bind(fd, found->ai_addr, found->ai_addrlen) || listen(fd, 16))) {
		fail("cannot listen at %s: %s", text, strerror(errno));
		close(fd);
		freeaddrinfo(found);
		return -1;
	}
out:
	if (found)
		freeaddrinfo(found);
	if (fd < 0)
		fail("--listen: invalid address \"%s\": expected ADDRESS:PORT, "
		     "such as 127.0.0.1:9750",
		     text);
	return fd;
}

int http_serve(const char *address, struct collector *counts)
{
	int listener = listen_at(address), signals;
	sigset_t set;

	if (listener < 0)
		return EXIT_BAD;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		client[i].fd = -1;
	fprintf(stderr, "urt: metrics at http://%s/metrics\n", address);
	privileges_reduce();
	while (serve_once(listener, signals, counts))
		;
	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		if (client[i].fd >= 0)
			forget(&client[i]);
	close(signals);
	close(listener);
	return 0;
}
