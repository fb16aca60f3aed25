// SPDX-License-Identifier: MIT
/*
 * Pages of counters and of events with any header, found in this process and
 * read like another program's. Nothing may crash, and reads stay within the
 * mapping. ASan does not see mappings; so the pages are as long as the input,
 * and the memory after them is not mapped.
 */
#include "../../tools/measure/held.h"
#include "../../tools/measure/trace_pages.h"
#include "../../tools/measure/user_stats.h"
#include "../../uring_rt/base/share.h"
#include "fuzz.h"
#include <sys/mman.h>
#include <unistd.h>

static int page_of(const char *name, uint64_t magic, const uint8_t *data,
		   size_t size)
{
	size_t length = size * 64 + 4096;
	int fd = urt__share_new(name, length);

	REQUIRE(fd >= 0);
	REQUIRE(pwrite(fd, &magic, sizeof(magic), 0) == sizeof(magic));
	REQUIRE(pwrite(fd, data, size, sizeof(magic)) == (ssize_t)size);
	return fd;
}

static void counters(const uint8_t *data, size_t size)
{
	int fd = page_of(URT__STATS_NAME, URT__STATS_MAGIC, data, size);
	struct user_page *page = user_page_of(getpid(), NULL);
	struct user_stats stats = { 0 };

	for (int i = 0; page && i < 2; i++)
		user_stats_add(&stats, page);
	REQUIRE(stats.n <= USER_STATS_MAX);
	user_page_free(page);
	close(fd);
}

static void events(const uint8_t *data, size_t size)
{
	int fd = page_of(URT__TRACE_NAME, URT__TRACE_MAGIC, data, size);
	struct held *h = held_new(4 << 20, 0);
	struct trace_pages *t = trace_pages_new(h, 0);
	struct trace_seen s;
	int64_t last = 0;

	REQUIRE(h != NULL && t != NULL);
	trace_pages_find(t, getpid());
	for (int i = 0; i < 2; i++) {
		trace_pages_read(t);
		while (trace_pages_next(t, INT64_MAX, &s)) {
			REQUIRE(s.kind != TRACE_EVENT || s.ns >= last);
			if (s.kind == TRACE_EVENT)
				last = s.ns;
		}
	}
	trace_pages_free(t);
	held_free(h);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	if (*data & 1)
		counters(data + 1, size - 1);
	else
		events(data + 1, size - 1);
	return 0;
}
