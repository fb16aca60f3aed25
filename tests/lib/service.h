/* SPDX-License-Identifier: MIT */
/*
 * What the suites share that talk to the command urt and its servers: running
 * a shell command, finding a number in JSON, a server under test, and raw
 * bytes to it. They run in the build directory.
 */
#ifndef URT_TEST_SERVICE_H
#define URT_TEST_SERVICE_H

#include "../../tools/service/model.h"
#include "tool_run.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* The number behind "name": in text, after the first "section": in it; NaN. */
static UNUSED double figure(const char *section, const char *name)
{
	char key[64];
	const char *p = text;

	if (section) {
		snprintf(key, sizeof(key), "\"%s\":", section);
		p = strstr(p, key);
	}
	snprintf(key, sizeof(key), "\"%s\":", name);
	p = p ? strstr(p, key) : NULL;
	return p && strncmp(p + strlen(key), "null", 4) ? atof(p + strlen(key))
							: __builtin_nan("");
}

static UNUSED bool has(const char *what)
{
	return strstr(text, what);
}

/* ---- a server ---- */

static UNUSED pid_t server;
static UNUSED int server_port;
static UNUSED unsigned server_descriptors; /* that it may open; 0: any number */

static UNUSED struct sockaddr_in server_address(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_port = htons(server_port) };

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return addr;
}

/* A connection to it; -1: nobody listens. */
static UNUSED int server_connect(void)
{
	struct sockaddr_in addr = server_address();
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval patience = { 10, 0 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	close(fd);
	return -1;
}

static UNUSED int free_port(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	bind(fd, (struct sockaddr *)&addr, len);
	getsockname(fd, (struct sockaddr *)&addr, &len);
	close(fd);
	return ntohs(addr.sin_port);
}

static UNUSED void server_stop(void)
{
	if (server > 0) {
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
	server = 0;
}

/* Waits, for 30 s at most, until a connection is taken. */
static UNUSED bool server_listens(void)
{
	for (int i = 0; i < 3000; i++) {
		int fd = server_connect();

		if (fd >= 0) {
			close(fd);
			return true;
		}
		usleep(10000);
	}
	return false;
}

/* Of a model; further options for `urt serve`, or NULL. */
static UNUSED void server_start(const char *model, const char *option,
				const char *value)
{
	char port[8];

	server_port = free_port();
	snprintf(port, sizeof(port), "%d", server_port);
	server = fork();
	if (!server) {
		int null = open("/dev/null", O_WRONLY);

		prctl(PR_SET_PDEATHSIG, SIGKILL); /* also if the test fails */
		setpgid(0, 0);
		dup2(null, 1);
		if (server_descriptors)
			setrlimit(RLIMIT_NOFILE,
				  &(struct rlimit){ server_descriptors,
						    server_descriptors });
		execl("./urt", "./urt", "serve", model, "--port", port, option,
		      value, NULL);
		_exit(127);
	}
	if (server_listens())
		return;
	server_stop();
	ck_abort_msg("%s does not listen", model);
}

/* Whether the program that a model needs is there; else the test skips. */
static UNUSED bool not_here(const char *model)
{
	return model_missing(model_find(model));
}

#endif
