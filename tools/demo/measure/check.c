// SPDX-License-Identifier: MIT
/*
 * Whether a user's server (--server) takes part, and in which experiments:
 * before the plan is made, each path is requested twice on one connection, and
 * its effect is observed from outside. `/` must be answered with status 200 and
 * a Content-Length on a connection that stays open; otherwise nothing can be
 * measured. `/wait` counts if it takes as long as requested and reaches the
 * backend; `/cpu`, if the server's CPU time grows by about the requested
 * amount. The answer to a malformed request is only printed.
 */
#define _GNU_SOURCE
#include "../../load/http.h"
#include "../../lib/net.h"
#include "stage.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHECK_MS   50
#define TIMES	   2  /* on one connection */
#define PATIENCE_S 30 /* for an answer */

/* One answer: its status; 0: none, or none that urt load understands. */
static int ask(int fd, const char *request)
{
	char in[LOAD_HEAD_MAX];
	size_t len = 0;
	int status = 0;
	long head = 0, body = 0;
	ssize_t n;

	if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
		return 0;
	while (!head || (head > 0 && len < (size_t)(head + body))) {
		n = len < sizeof(in) ? recv(fd, in + len, sizeof(in) - len, 0)
				     : 0;
		if (n <= 0)
			return 0;
		len += n;
		head = load_head(in, len, &status, &body);
	}
	return head > 0 ? status : 0;
}

static int open_to(int port)
{
	struct sockaddr_in addr = net_loopback(port);
	struct timeval patience = { PATIENCE_S, 0 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	close(fd);
	return -1;
}

/* The status of all TIMES answers; -n: the nth was missing. */
static int ask_twice(const struct stage *s, const char *path)
{
	char request[128];
	int fd = open_to(s->port), status = 0;

	snprintf(request, sizeof(request),
		 "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", path);
	for (int i = 1; i <= TIMES && fd >= 0; i++) {
		status = ask(fd, request);
		if (status != 200) {
			status = status ? status : -i;
			break;
		}
	}
	if (fd >= 0)
		close(fd);
	return status;
}

static void say_status(int status, char *buf, size_t size)
{
	if (status > 0)
		snprintf(buf, size, "status %d", status);
	else
		snprintf(buf, size,
			 status == -TIMES ? "the connection does not stay open"
					  : "no answer with a Content-Length");
}

/* ---- the effect of each path ---- */

static bool waits(struct stage *s, char *why, size_t size)
{
	char path[32];
	uint64_t before = s->backend->counts->served;
	int64_t begin = now_ns(), took;
	int status;

	snprintf(path, sizeof(path), "/wait?ms=%d", CHECK_MS);
	status = ask_twice(s, path);
	took = (now_ns() - begin) / NS_PER_MS;
	if (status != 200)
		say_status(status, why, size);
	else if (took < TIMES * CHECK_MS)
		snprintf(why, size, "two requests of %d ms took %lld ms",
			 CHECK_MS, (long long)took);
	else if (s->backend->counts->served < before + TIMES)
		snprintf(why, size, "it does not ask the backend on {backend}");
	else
		return true;
	return false;
}

static bool burns(struct stage *s, char *why, size_t size)
{
	char path[32];
	int64_t cpu = stage_cpu_ns(s->server.pid);
	int status;

	snprintf(path, sizeof(path), "/cpu?ms=%d", CHECK_MS);
	status = ask_twice(s, path);
	cpu = (stage_cpu_ns(s->server.pid) - cpu) / NS_PER_MS;
	if (status != 200)
		say_status(status, why, size);
	else if (cpu < TIMES * CHECK_MS / 2 || cpu > TIMES * CHECK_MS * 4)
		snprintf(why, size, "two requests of %d ms used %lld ms of CPU",
			 CHECK_MS, (long long)cpu);
	else
		return true;
	return false;
}

static const char *to_nonsense(const struct stage *s)
{
	static char text[32];
	int fd = open_to(s->port), status = 0;

	if (fd >= 0) {
		status = ask(fd, "nonsense\r\n\r\n");
		close(fd);
	}
	snprintf(text, sizeof(text), status ? "with status %d" : "by none",
		 status);
	return text;
}

bool demo_check_server(struct lab *lab, struct model *m)
{
	struct demo_outcome outcome;
	char wait[96] = "yes", cpu[96] = "yes", first[96];
	struct stage s;
	int status;
	bool fine = stage_begin(&s, lab, &outcome, m, -1);

	if (!fine) {
		fail("--server %s: %s", m->name, outcome.reason);
	} else if ((status = ask_twice(&s, "/")) != 200) {
		say_status(status, first, sizeof(first));
		fine = !fail("--server %s: GET / must be answered with status "
			     "200 and a Content-Length, on a connection that "
			     "stays open: %s",
			     m->name, first);
	} else {
		m->answers = ANSWERS_NOW;
		if (waits(&s, wait, sizeof(wait)))
			m->answers |= ANSWERS_WAIT;
		if (burns(&s, cpu, sizeof(cpu)))
			m->answers |= ANSWERS_CPU;
		fprintf(stderr,
			"%s: / yes; /wait (claims 3, 4, 5): %s; /cpu (6, 7): "
			"%s; nonsense is answered %s\n",
			m->name, wait, cpu, to_nonsense(&s));
	}
	stage_end(&s);
	return fine;
}
