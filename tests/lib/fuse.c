// SPDX-License-Identifier: MIT
/* The server of fuse.h. */
#define _GNU_SOURCE
#include "fuse.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_HELD 256 /* requests at a time */

struct fuse_request {
	uint64_t unique;
	uint32_t opcode, size;
};

static void fuse_reply(int fd, uint64_t unique, int err, const void *data,
		       size_t len)
{
	static char buf[sizeof(struct fuse_out_header) + (128 << 10)];
	struct fuse_out_header h = { .len = sizeof(h) + len,
				     .error = err,
				     .unique = unique };

	memcpy(buf, &h, sizeof(h));
	if (len)
		memcpy(buf + sizeof(h), data, len);
	if (write(fd, buf, h.len) < 0)
		return; /* the request was given up: ENOENT */
}

static struct fuse_attr fuse_attr_of(uint64_t node)
{
	return (struct fuse_attr){
		.ino = node,
		.nlink = 1,
		.size = node == 1 ? 0 : FUSE_FILE_SIZE,
		.mode = node == 1 ? S_IFDIR | 0755 : S_IFREG | 0644,
	};
}

/* Answers a request that may have been held. */
static void fuse_reply_late(int fd, const struct fuse_request *r)
{
	static const char zeros[128 << 10];
	struct fuse_open_out o = { .fh = 1 };
	/* Each use of the name asks again. */
	struct fuse_entry_out e = { .nodeid = 2,
				    .attr_valid = 1000,
				    .attr = fuse_attr_of(2) };

	if (r->opcode == FUSE_LOOKUP)
		fuse_reply(fd, r->unique, 0, &e, sizeof(e));
	else if (r->opcode == FUSE_OPEN)
		fuse_reply(fd, r->unique, 0, &o, sizeof(o));
	else if (r->opcode == FUSE_READ)
		fuse_reply(fd, r->unique, 0, zeros, r->size);
	else
		fuse_reply(fd, r->unique, 0, NULL, 0);
}

static void fuse_reply_now(int fd, const struct fuse_in_header *h)
{
	struct fuse_init_out init = { .major = 7,
				      .minor = 31,
				      .max_write = 4096 };
	struct fuse_attr_out a = { .attr_valid = 1000,
				   .attr = fuse_attr_of(h->nodeid) };

	switch (h->opcode) {
	case FUSE_INIT:
		fuse_reply(fd, h->unique, 0, &init, sizeof(init));
		break;
	case FUSE_GETATTR:
		fuse_reply(fd, h->unique, 0, &a, sizeof(a));
		break;
	case FUSE_FLUSH:
		fuse_reply(fd, h->unique, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT: /* an interrupted request still waits */
		break;
	default:
		fuse_reply(fd, h->unique, -ENOSYS, NULL, 0);
	}
}

static unsigned fuse_hold_bit(uint32_t opcode)
{
	return opcode == FUSE_OPEN	? FUSE_HOLD_OPEN
	       : opcode == FUSE_READ	? FUSE_HOLD_READ
	       : opcode == FUSE_RELEASE ? FUSE_HOLD_RELEASE
	       : opcode == FUSE_LOOKUP	? FUSE_HOLD_LOOKUP
	       : opcode == FUSE_WRITE	? FUSE_HOLD_WRITE
					: 0;
}

static void fuse_serve(const struct fuse *f, int fd)
{
	static char buf[1 << 20];
	struct fuse_request held[MAX_HELD];
	struct fuse_control *c = f->control;
	struct pollfd p[2] = { { fd, POLLIN, 0 }, { f->bell, POLLIN, 0 } };
	unsigned n = 0;
	uint64_t rung;

	while (poll(p, 2, -1) > 0 && !(p[0].revents & POLLERR)) {
		const struct fuse_in_header *h = (void *)buf;
		unsigned bit;

		if (p[1].revents && read(f->bell, &rung, sizeof(rung)) > 0 &&
		    !atomic_load(&c->hold)) {
			for (unsigned i = 0; i < n; i++)
				fuse_reply_late(fd, &held[i]);
			n = 0;
			atomic_store(&c->held, 0);
		}
		if (!p[0].revents || read(fd, buf, sizeof(buf)) <= 0)
			continue;
		bit = fuse_hold_bit(h->opcode);
		if (bit) {
			const struct fuse_read_in *in = (const void *)(h + 1);
			struct fuse_request r = { h->unique, h->opcode, 0 };

			if (h->opcode == FUSE_READ) {
				r.size = in->size;
				atomic_fetch_add(&c->reads, 1);
			}
			if (atomic_load(&c->hold) & bit && n < MAX_HELD) {
				held[n++] = r;
				atomic_store(&c->held, n);
			} else {
				fuse_reply_late(fd, &r);
			}
		} else {
			fuse_reply_now(fd, h);
		}
	}
}

const char *fuse_start(struct fuse *f)
{
	pid_t parent = getpid();
	char options[96];
	struct stat st;
	int fd;

	strcpy(f->dir, "/tmp/urt-fuse-XXXXXX");
	if (geteuid() || access("/dev/fuse", R_OK | W_OK))
		return "needs root and /dev/fuse";
	if (unshare(CLONE_NEWNS) ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return "no mount namespace can be made here";
	fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fd < 0 || mount("urt-test", "/tmp", "tmpfs", 0, "size=64k") ||
	    !mkdtemp(f->dir))
		return "no FUSE file system can be made here";
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	if (mount("urt-test", f->dir, "fuse", 0, options))
		return "no FUSE file system can be mounted here";
	snprintf(f->path, sizeof(f->path), "%s/file", f->dir);
	f->control = mmap(NULL, sizeof(*f->control), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	f->bell = eventfd(0, EFD_CLOEXEC);
	f->server = fork();
	if (!f->server) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == parent)
			fuse_serve(f, fd);
		_exit(0);
	}
	close(fd);
	return stat(f->path, &st) ? "the FUSE server does not answer" : NULL;
}

static void fuse_ring(const struct fuse *f)
{
	uint64_t one = 1;

	if (write(f->bell, &one, sizeof(one)) < 0)
		return; /* full: it rings already */
}

void fuse_hold(const struct fuse *f, unsigned what)
{
	atomic_store(&f->control->hold, what);
}

unsigned fuse_held(const struct fuse *f)
{
	return atomic_load(&f->control->held);
}

void fuse_answer(const struct fuse *f)
{
	atomic_store(&f->control->hold, 0);
	fuse_ring(f);
}

void fuse_stop(const struct fuse *f)
{
	kill(f->server, SIGKILL);
	waitpid(f->server, NULL, 0);
	umount2(f->dir, MNT_DETACH);
	close(f->bell);
}
