// SPDX-License-Identifier: MIT
/*
 * Reservations of address space.
 *
 * The runtime reserves room for all coroutines that could ever be, for a table
 * of all descriptors, for trace rings of all workers: hundreds of gigabytes, of
 * which a program uses little. That costs nothing, except where something
 * affects the whole reservation:
 *
 *   mlockall(MCL_FUTURE) fills each new mapping at once. So a reservation is
 *   made without access, which cannot be filled, and is unlocked. A part that
 *   is opened is locked again page by page as it is touched (MLOCK_ONFAULT), so
 *   the promise is kept: touched memory is locked. Guards cannot be put into
 *   locked memory; they are made between opening and locking.
 *
 *   A core dump contains mappings that were written to, with their holes. Parts
 *   that were never opened are not in it.
 *
 *   With vm.overcommit_memory=2, only writable memory counts.
 *
 * The kernel joins neighbours of equal access, so that a reservation is two or
 * three mappings, however many times a part of it is opened.
 *
 * For each reservation, msync(2) tells whether the process locks its future
 * memory: it refuses to invalidate locked memory (EBUSY).
 */
#define _GNU_SOURCE
#include "memory.h"
#include "sys.h"
#include <errno.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA	     0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

static _Atomic bool locking; /* seen at the last reservation */

int urt__mem_reserve(void **out, size_t size, int fd, const char *name)
{
	int kind = fd == URT__MEM_STACKS
			   ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK
		   : fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS
			    : MAP_SHARED;
	int err = urt__sys_mmap(out, size, PROT_NONE, kind | MAP_NORESERVE,
				fd < 0 ? -1 : fd, 0);

	if (err)
		return err;
	locking = msync(*out, 1, MS_INVALIDATE) && errno == EBUSY;
	if (locking)
		munlock(*out, size);
	if (fd < 0) { /* names are a comfort: since Linux 5.17, if configured */
		prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, *out, size, name);
		/* A huge page for a few bytes would cost 2 MiB. */
		urt__sys_madvise(*out, size, MADV_NOHUGEPAGE);
	}
	return 0;
}

int urt__mem_open(void *p, size_t size)
{
	return urt__sys_mprotect(p, size, PROT_READ | PROT_WRITE);
}

int urt__mem_lock(void *p, size_t size)
{
	if (!locking || !mlock2(p, size, MLOCK_ONFAULT))
		return 0;
	return errno == ENOSYS ? 0 : -errno;
}

int urt__mem_map(void **out, size_t size, int fd, const char *name)
{
	int err = urt__mem_reserve(out, size, fd, name);

	if (err)
		return err;
	err = urt__mem_open(*out, size);
	if (!err)
		err = urt__mem_lock(*out, size);
	if (err)
		munmap(*out, size);
	return err;
}

int urt__mem_drop(void *p, size_t size)
{
	return urt__sys_madvise(p, size,
				locking ? MADV_DONTNEED_LOCKED : MADV_DONTNEED);
}
