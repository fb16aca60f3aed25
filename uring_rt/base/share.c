// SPDX-License-Identifier: MIT
/* Memory that other processes may map; see share.h. */
#define _GNU_SOURCE
#include "share.h"
#include "sys.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int urt__share_new(const char *name, size_t size)
{
	struct rlimit limit;
	int fd, err;

	/* Above the limit (ulimit -f), ftruncate is answered by SIGXFSZ. */
	if (!getrlimit(RLIMIT_FSIZE, &limit) && limit.rlim_cur < size)
		return -EFBIG;
	fd = urt__sys_memfd(name);
	if (fd < 0)
		return fd;
	err = urt__sys_ftruncate(fd, size);
	if (err) {
		close(fd);
		return err;
	}
	/* Where sealing is not possible, tools refuse to read it. */
	fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	return fd;
}

/* "@NAME/SECRET": the address is @NAME. Returns the address's length; 0: the
 * text is invalid. */
static socklen_t address_of(const char *text, struct sockaddr_un *a)
{
	size_t n = text && *text == '@' ? strcspn(text, "/") : 0;

	if (n < 2 || n > sizeof(a->sun_path))
		return 0;
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(a->sun_path + 1, text + 1, n - 1);
	return offsetof(struct sockaddr_un, sun_path) + n;
}

static int send_fd(int socket, int fd, const char *text)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec v = { (char *)text, strlen(text) };
	struct msghdr m = { .msg_iov = &v,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	return sendmsg(socket, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int urt__share_send(int fd, const char *variable)
{
	const char *text = secure_getenv(variable);
	struct sockaddr_un a;
	socklen_t len = address_of(text, &a);
	int s, err;

	if (!len)
		return -ENOENT;
	s = urt__sys_socket(AF_UNIX,
			    SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s < 0)
		return s;
	err = connect(s, (struct sockaddr *)&a, len) ? -errno
						     : send_fd(s, fd, text);
	close(s);
	return err;
}
