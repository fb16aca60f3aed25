/* SPDX-License-Identifier: MIT */
/*
 * The shared memory of other programs (uring_rt/base/share.h), the only way by
 * which the tool reads any: found through /proc/PID/fd, or sent to us by the
 * programs that we start.
 *
 * The other program may be hostile. So a descriptor is opened only when it is
 * known to be a memfd: opening and reading a memfd cannot block, as a FIFO or a
 * file of a FUSE mount can, and cannot reach a device. The memfd must be sealed
 * against shrinking, so that no access to the mapping raises SIGBUS. The
 * contents may change at any moment: a reader copies the header once, checks
 * the copy, and uses only that.
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
	ino_t ino; /* all memfds have the same device */
};

/* Maps at most max bytes of it. NULL, or the reason why it must not be read. */
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

/* A descriptor to poll for reading; -1: not now. */
int page_inbox_fd(const struct page_inbox *);

/*
 * The next memfd that was sent, and the sender's pid (0: it has none in our
 * namespace). The caller closes the memfd. -1: there is none.
 */
int page_inbox_next(struct page_inbox *, pid_t *from);

/* Removes it from the environment. NULL does nothing. */
void page_inbox_close(struct page_inbox *);

#endif
