// SPDX-License-Identifier: MIT
/*
 * The operations in flight on each descriptor.
 *
 * The kernel holds on to the file of an operation in flight, so a close does
 * not end it: a coroutine that receives from a socket which another one closes
 * would wait forever. Worse, an operation that is still in some worker's queue
 * would be carried out on the file that has reused the number by then. So close
 * ends all operations on the descriptor first, and waits for their completions.
 * To find them, there is a list for each descriptor, in a table with an entry
 * for every possible descriptor (the default of fs.nr_open); only the used
 * parts of the table have memory.
 *
 * Invariants:
 *  - An operation is listed before its coroutine parks, and unlisted by its
 *    completion, before the coroutine can continue. So a thread that holds the
 *    lock may use the listed operations.
 *  - An operation is cancelled through its worker's inbox, which that thread
 *    reads only when the coroutine has parked, so the request cannot be lost in
 *    between (sched.c). Under the lock, no thread touches the ring, since that
 *    may reap, and reaping unlists.
 *  - The thread that unlists the last operation wakes the closer.
 *  - An operation that arrives during a close yields, then fails with EBADF or
 *    acts on the file that has reused the number, as if it had come after the
 *    close. But the kernel frees the number first and may then take long (a
 *    lingering socket, a file on FUSE or NFS): after 1 ms the operation goes
 *    ahead, since the number most likely belongs to another file by then. If
 *    it does not (the closer's thread had no CPU), the operation waits on a
 *    file that nobody else can reach any more. So the end of the close
 *    interrupts the operations that went ahead, and they begin anew.
 *  - The lock is a leaf, and is held across the closer's switch.
 *
 * Completions may be reaped by a thread without a processor, so the lock is
 * taken in a run of one processor, too.
 *
 * The kernel's table of descriptors grows to twice its size with the first
 * number beyond its end (expand_files in fs/file.c). In a process with several
 * threads, the thread whose accept or open does that waits for a grace period
 * of RCU: 10 to 20 ms, at 64, 128, 256 ... descriptors. So the run begins with
 * a table for ROOM descriptors, and the monitor's helper makes it four times as
 * large when a quarter is in use. Both duplicate a descriptor to a number near
 * the new end, and close it.
 *
 * Rejected: IORING_ASYNC_CANCEL_FD, which reaches one ring only, and not the
 * requests that are still queued; looking through all coroutines, which makes
 * closing 100,000 connections quadratic.
 */
#define _GNU_SOURCE
#include "fds.h"
#include "io.h"
#include "../base/memory.h"
#include "../base/sys.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/single_threaded.h>
#include <sys/stat.h>
#include <unistd.h>
#undef errno

#define FDS_MAX (1u << 20)
#define ROOM	4096u

static struct urt__fd *table;

/* For all runs. The kernel's table has had room for so many; from which number
 * on more is asked for: FDS_MAX while that is under way. */
static unsigned room;
static _Atomic unsigned more_from;

void urt__fds_widen(void)
{
	struct rlimit limit = { 0, 0 };
	int any = urt__sys_eventfd(), high;

	getrlimit(RLIMIT_NOFILE, &limit);
	room = room ? room * 4 : ROOM;
	if (room > FDS_MAX)
		room = FDS_MAX;
	if (room > limit.rlim_cur)
		room = limit.rlim_cur;
	high = fcntl(any, F_DUPFD_CLOEXEC, room - 1);
	if (high >= 0)
		close(high);
	if (any >= 0)
		close(any);
	/* Not again at the limit: descriptors may lie beyond one that was
	 * lowered. */
	atomic_store_explicit(&more_from,
			      room == limit.rlim_cur ? FDS_MAX : room / 4,
			      memory_order_relaxed);
}

/* Once for each size. */
static URT__COLD void ask_for_more(void)
{
	if (atomic_exchange(&more_from, FDS_MAX) < FDS_MAX)
		urt__rt.widen();
}

int urt__fds_open(const int *fixed, unsigned nr_fixed)
{
	size_t size = FDS_MAX * sizeof(*table);
	void *map;
	int err = urt__mem_map(&map, size, URT__MEM_ANONYMOUS,
			       "uring_rt descriptors");

	if (err)
		return err;
	table = map;
	for (unsigned i = 0; i < nr_fixed; i++)
		if (urt__fd(fixed[i]))
			urt__fd(fixed[i])->fixed = i + 1;
	/* Otherwise the first operation asks for it. */
	if (!room && __libc_single_threaded)
		urt__fds_widen();
	return 0;
}

void urt__fds_close(void)
{
	munmap(table, FDS_MAX * sizeof(*table));
	table = NULL;
}

struct urt__fd *urt__fd(int fd)
{
	if (urt__unlikely(
		    (unsigned)fd >=
		    atomic_load_explicit(&more_from, memory_order_relaxed)) &&
	    (unsigned)fd < FDS_MAX)
		ask_for_more();
	return table && (unsigned)fd < FDS_MAX ? &table[fd] : NULL;
}

static URT__COLD enum urt__fd_kind find_kind(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	struct statx st;

	if (flags >= 0 && flags & O_DIRECT)
		return URT__FD_DIRECT;
	/* Not fstat, which ThreadSanitizer watches: a number that has just been
	 * closed can be the helper's for a moment. */
	if (!statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &st) &&
	    (S_ISREG(st.stx_mode) || S_ISBLK(st.stx_mode)))
		return URT__FD_CACHED;
	return URT__FD_OTHER;
}

enum urt__fd_kind urt__fd_kind(struct urt__fd *entry, int fd)
{
	int kind = atomic_load_explicit(&entry->kind, memory_order_relaxed);

	if (urt__unlikely(kind == URT__FD_UNKNOWN)) {
		kind = find_kind(fd);
		atomic_store_explicit(&entry->kind, kind, memory_order_relaxed);
	}
	return kind;
}

bool urt__fd_list(struct urt__io *io, bool anyway)
{
	struct urt__fd *fd = io->op.fd;
	bool closing;

	urt__lock(&fd->lock);
	closing = fd->closing && !anyway;
	if (urt__likely(!closing)) {
		io->early = fd->closing;
		io->next = fd->ios;
		io->at = &fd->ios;
		if (io->next)
			io->next->at = &io->next;
		fd->ios = io;
	}
	urt__unlock(&fd->lock);
	return !closing;
}

void urt__fd_unlist(struct urt__io *io)
{
	struct urt__fd *fd = io->op.fd;
	struct urt_coro *closer = NULL;
	uint64_t seq = 0;

	urt__lock(&fd->lock);
	*io->at = io->next;
	if (io->next)
		io->next->at = io->at;
	if (!fd->ios && urt__unlikely(fd->closer)) {
		closer = fd->closer;
		seq = fd->closer_seq;
		fd->closer = NULL;
	}
	urt__unlock(&fd->lock);
	if (urt__unlikely(closer)) {
		URT_BUG_ON(!urt__claim(closer, seq));
		urt__ready_last(closer);
	}
}

static void commit_unlock(struct urt__worker *w, void *arg)
{
	struct urt__fd *fd = arg;

	(void)w;
	urt__unlock(&fd->lock);
}

void urt__fd_closing(struct urt__fd *fd)
{
	struct urt__worker *w = urt__worker();

	urt__lock(&fd->lock);
	fd->closing++;
	if (urt__likely(!fd->ios) || fd->closer) {
		urt__unlock(&fd->lock);
		return;
	}
	urt__wait_begin(w, URT__FIRM, URT_NEVER, &fd->closer_seq);
	fd->closer = w->current;
	for (struct urt__io *io = fd->ios; io; io = io->next)
		urt__op_close(io->op.coro, io->seq);
	urt__park(w, URT__R_IO, URT__WAITING, commit_unlock, fd);
}

void urt__fd_closed(struct urt__fd *fd)
{
	atomic_store_explicit(&fd->fixed, 0, memory_order_relaxed);
	atomic_store_explicit(&fd->kind, 0, memory_order_relaxed);
	urt__lock(&fd->lock);
	fd->closing--;
	for (struct urt__io *io = fd->ios; urt__unlikely(io); io = io->next)
		if (io->early)
			urt__op_close(io->op.coro, io->seq);
	urt__unlock(&fd->lock);
}
