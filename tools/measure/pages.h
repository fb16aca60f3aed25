/* SPDX-License-Identifier: MIT */
/*
 * The shared memory of other programs (uring_rt/base/share.h), the only way by
 * which the tool reads any: found through /proc/PID/fd, or sent to us by the
 * programs that we start.
 *
 * The other program may be hostile. So nothing of it is opened before it is
 * known to be a memfd: opening and reading one cannot block, which a FIFO or a
 * file of a FUSE mount can, and cannot reach a device. It must be sealed
 * against shrinking: then no access to what is mapped raises SIGBUS. The
 * contents may change at any moment: a user copies its header once, checks the
 * copy, and uses only that.
 */
#ifndef URT_PAGES_H
#define URT_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct page_map {
	void *at;
	size_t size;
	ino_t ino; /* all memfds are of one device */
};

/* Maps at most max bytes of it. NULL, or why it is not to be read. */
const char *page_map(int fd, size_t max, bool writable, struct page_map *);
void page_unmap(struct page_map *);

/*
 * Calls found(fd, arg) for each memfd of that name which the process has open,
 * until it returns true; closes fd afterwards. A process with very many
 * descriptors is looked at for a bounded time. A page that cannot be read is
 * reported in *why, unless that is NULL.
 */
void pages_each(pid_t pid, const char *name, bool (*found)(int fd, void *arg),
		void *arg, const char **why);

/* ---- pages that programs send ---- */

struct page_inbox;

/* A socket that the environment variable names from now on. NULL and errno. */
struct page_inbox *page_inbox_open(const char *variable);

/* To be polled for reading; -1: not now. */
int page_inbox_fd(const struct page_inbox *);

/*
 * The next memfd that was sent, and by which process (0: one that has no number
 * here). The caller closes it. -1: there is none.
 */
int page_inbox_next(struct page_inbox *, pid_t *from);

/* The environment names it no longer. NULL does nothing. */
void page_inbox_close(struct page_inbox *);

#endif
