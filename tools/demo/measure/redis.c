// SPDX-License-Identifier: MIT
/*
 * A real Redis behind GET /wait. A running Redis is used, and nothing in it is
 * changed except the keys urt:N. Otherwise the demo starts one, without a file
 * of its own, on the load generator's CPU, as the built-in backend, and ends it
 * at the end.
 */
#define _GNU_SOURCE
#include "stage.h"
#include "../../lib/net.h"
#include "../../service/language.h"
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_MS 20000

/* Whether a Redis that we may use listens there. */
static bool answers(int port)
{
	struct sockaddr_in addr = net_loopback(port);
	struct timeval patience = { 2, 0 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char in[64] = "";

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr)) &&
	    send(fd, "PING\r\n", 6, MSG_NOSIGNAL) == 6 &&
	    recv(fd, in, sizeof(in) - 1, 0) < 0)
		in[0] = '\0';
	close(fd);
	return !strncmp(in, "+PONG", 5);
}

static bool start(struct lab *lab)
{
	char port[16];
	char *argv[] = { "redis-server", "--port", port, "--bind",
			 "127.0.0.1",	 "--save", "",	 "--appendonly",
			 "no",		 "--dir",  "/",	 NULL };
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC), err;
	struct launch l;

	snprintf(port, sizeof(port), "%d", lab->demo->options.redis_port);
	err = launch(&l, argv, NULL, lab->demo->load_cpu, null);
	close(null);
	if (!err) {
		setpgid(l.pid, 0);
		err = launch_go(&l);
	}
	if (err)
		return false;
	lab->redis = l.pid;
	lab->demo->redis_ours = true;
	return true;
}

bool lab_redis(struct lab *lab)
{
	int port = lab->demo->options.redis_port;

	if (!port || answers(port))
		return true;
	if (net_wait_listening(port, 5))
		return !fail(
			"the server on port %d does not answer PING as Redis does: choose another port",
			port);
	if (!command_exists("redis-server"))
		return !fail("no Redis answers on port %d, and redis-server is "
			     "not installed: install it, or leave out "
			     "--backend",
			     port);
	if (start(lab) && net_wait_listening(port, START_MS) && answers(port))
		return true;
	lab_redis_stop(lab);
	return !fail("redis-server could not be started on port %d", port);
}

void lab_redis_stop(struct lab *lab)
{
	if (lab->redis <= 0)
		return;
	kill(lab->redis, SIGTERM);
	waitpid(lab->redis, NULL, 0);
	lab->redis = 0;
}
