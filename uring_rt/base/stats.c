// SPDX-License-Identifier: MIT
/* Making the counters page; its layout and its readers: stats.h. */
#define _GNU_SOURCE
#include "stats.h"
#include "memory.h"
#include "share.h"
#include "sys.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *const names[] = {
#define X(symbol, name) name,
	URT__STATS(X)
#undef X
};

static size_t header_size(void)
{
	size_t size = urt__stats_outside_at(URT__STAT_COUNT) +
		      sizeof(struct urt__outside);

	return (size + URT__CACHELINE - 1) & ~(size_t)(URT__CACHELINE - 1);
}

int urt__stats_open(struct urt__stats_page **out, int *fd, unsigned slots)
{
	size_t size = header_size() + slots * sizeof(struct urt__stats_slot);
	struct urt__stats_page *p;
	void *map;
	int err;

	*fd = urt__share_new(URT__STATS_NAME, size);
	if (*fd == -EMFILE || *fd == -ENFILE)
		return *fd;
	if (*fd < 0) /* ulimit -f, or a sandbox */
		*fd = -1;
	err = urt__mem_map(&map, size, *fd, "uring_rt counters");
	if (err) {
		if (*fd >= 0)
			close(*fd);
		return err;
	}
	p = map;
	p->header_size = header_size();
	p->slot_size = sizeof(struct urt__stats_slot);
	p->slots = slots;
	p->counters = URT__STAT_COUNT;
	p->ops = URT__STATS_OPS;
	for (unsigned i = 0; i < URT__STAT_COUNT; i++)
		strncpy(p->name[i], names[i], URT__STATS_NAME_LEN - 1);
	p->pid = getpid();
	__atomic_store_n(&p->magic, URT__STATS_MAGIC, __ATOMIC_RELEASE);
	*out = p;
	return 0;
}

void urt__stats_send(int fd)
{
	if (fd >= 0)
		urt__share_send(fd, URT__STATS_TO_ENV);
}

void urt__stats_close(struct urt__stats_page *p, int fd)
{
	munmap(p, p->header_size + (size_t)p->slot_size * p->slots);
	if (fd >= 0)
		close(fd);
}
