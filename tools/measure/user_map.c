// SPDX-License-Identifier: MIT
/*
 * Where the kernel maps all memory, for bpf/user.bpf.h. The kernel says where a page of
 * ours is in memory (/proc/self/pagemap), but not where the map begins; that is a multiple
 * of 1 GiB below the page tables, which lie in the map. So each such place is tried: at
 * the right one stands what we have written into the page. Places below the map read
 * as 0. Then the page table must lead there, too.
 */
#include "user_map.h"
#include "counter_parts.h"
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#if defined(__x86_64__) && LIBBPF_MAJOR_VERSION >= 1

#define GIB (1ULL << 30)

void user_map_choose(struct count_bpf *bpf, bool wanted)
{
	bpf_program__set_autoload(bpf->progs.user_test, wanted);
}

/* The physical address of a page; 0: not told. */
static uint64_t physical(const void *page)
{
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	if (pread(fd, &entry, 8, (uintptr_t)page / 4096 * 8) != 8)
		entry = 0;
	close(fd);
	return entry >> 63 ? (entry & ((1ULL << 55) - 1)) * 4096 : 0;
}

static bool run(struct count_bpf *bpf)
{
	LIBBPF_OPTS(bpf_test_run_opts, o);

	return !bpf_prog_test_run_opts(bpf_program__fd(bpf->progs.user_test),
				       &o);
}

/* From the lowest place up, so that each wrong one lies below the map or in it. */
static uint64_t search(struct count_bpf *bpf, const void *page, uint64_t at)
{
	uint64_t ram = (uint64_t)sysconf(_SC_PHYS_PAGES) * 4096 / GIB;
	uint64_t most = 2 * ram + 64, top;

	if (!at || !run(bpf) || !bpf->bss->user_table)
		return 0;
	top = bpf->bss->user_table & -GIB;
	for (uint64_t k = most + 1; k-- > 0;) {
		bpf->bss->user_try = top - k * GIB + at;
		if (!run(bpf))
			return 0;
		if (!memcmp(bpf->bss->user_tried, page, 64))
			return top - k * GIB;
	}
	return 0;
}

/* user_page finds the page in a page table of so many levels. */
static bool is_found(struct count_bpf *bpf, const void *page, unsigned levels)
{
	bpf->bss->user_levels = levels;
	bpf->bss->user_own = (uintptr_t)page;
	return run(bpf) && bpf->bss->user_place == bpf->bss->user_try;
}

void user_map_find(struct count_bpf *bpf)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);
	uint64_t map;

	if (page == MAP_FAILED)
		return;
	if (getrandom(page, 64, 0) == 64) {
		map = search(bpf, page, physical(page));
		bpf->bss->user_map = map;
		if (!map ||
		    (!is_found(bpf, page, 4) && !is_found(bpf, page, 5)))
			bpf->bss->user_map = 0;
	}
	munmap(page, 4096);
}

#else

void user_map_choose(struct count_bpf *bpf, bool wanted)
{
	(void)bpf;
	(void)wanted;
}

void user_map_find(struct count_bpf *bpf)
{
	(void)bpf;
}

#endif
