// SPDX-License-Identifier: MIT
#include "conformance.h"

/* Whether an earlier row is served by the same program, called the same way. */
static bool is_again(const struct model *m)
{
	for (const struct model *e = models; e < m; e++)
		if (e->run == m->run && e->source == m->source &&
		    e->argument == m->argument)
			return true;
	return false;
}

bool serving(const char *model)
{
	if (is_again(model_find(model)))
		return false;
	if (not_here(model)) {
		fprintf(stderr, "SKIP %s: %s\n", model,
			model_missing(model_find(model)));
		return false;
	}
	server_start(model, NULL, NULL);
	if (model_is(model_find(model), MODEL_TLS))
		server_relay();
	return true;
}

bool serving_plain(const char *model)
{
	return !model_is(model_find(model), MODEL_TLS) && serving(model);
}

void stops_well(const char *model)
{
	char in[256];
	int fd = server_connect();

	ck_assert_msg(fd >= 0, "%s does not listen any more", model);
	send(fd, GET("/") END, strlen(GET("/") END), MSG_NOSIGNAL);
	ck_assert_msg(recv(fd, in, sizeof(in), 0) > 0, "%s is stuck", model);
	close(fd);
	ck_assert_int_eq(waitpid(server, NULL, WNOHANG), 0);
	server_stop();
}

void put(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n <= 0)
			return; /* the server closed; its answer tells why */
		p += n;
		len -= n;
	}
}

size_t get(int fd, char *in, size_t want, bool *closed)
{
	size_t got = 0;
	ssize_t n = 1;

	/* A stop and its end interrupt a wait that has a limit. */
	while (got < want && ((n = recv(fd, in + got, want - got, 0)) > 0 ||
			      (n < 0 && errno == EINTR)))
		got += n > 0 ? n : 0;
	ck_assert_msg(n >= 0 || errno == ECONNRESET, "no answer: %s",
		      strerror(errno));
	*closed = n <= 0;
	return got;
}
