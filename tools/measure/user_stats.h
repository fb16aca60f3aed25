/* SPDX-License-Identifier: MIT */
/* Reading the counters pages of programs on uring_rt (base/stats.h). */
#ifndef URT_USER_STATS_H
#define URT_USER_STATS_H

#include "../../uring_rt/base/stats.h"
#include <stdbool.h>
#include <sys/types.h>

#define USER_STATS_MAX 64

struct user_counter {
	char name[URT__STATS_NAME_LEN];
	uint64_t value;
};

/* Counters by name, summed over workers and pages. */
struct user_stats {
	unsigned n;
	struct user_counter counter[USER_STATS_MAX];
	/* Histograms (base/times.h); none in pages of older programs. */
	uint64_t time[URT__TIME_COUNT][URT__TIME_CELLS];
	const char *bad; /* why a page was left out; NULL: none was */
};

/* One mapped page, with its header as it was checked. */
struct user_page;

/*
 * The page of a process. NULL: it has none, or none that we may see; if its
 * page is invalid, *why says so.
 */
struct user_page *user_page_of(pid_t, const char **why);
void user_page_free(struct user_page *);
/* The same page of the same run? */
ino_t user_page_id(const struct user_page *);

/* Adds the page's present counts; or, if these are impossible, says so in
 * `bad`. */
void user_stats_add(struct user_stats *, struct user_page *);

/*
 * The pages of programs that are started from now on: the environment tells
 * programs where to send them. NULL: not possible.
 */
struct user_pages;
struct user_pages *user_pages_open(void);
/* A descriptor to poll, after which user_pages_take is called; -1: not now. */
int user_pages_fd(const struct user_pages *);
void user_pages_take(struct user_pages *);
/* Adds all of them. False: there is none. */
bool user_pages_read(struct user_pages *, struct user_stats *);
void user_pages_close(struct user_pages *);

/* 0: no page has a counter of that name, too. */
uint64_t user_stats_get(const struct user_stats *, const char *name);
bool user_stats_has(const struct user_stats *, const char *name);
/* The time, in ns, that a share p (0 to 1) of the measured times did not reach.
 * 0: none was measured. */
uint64_t user_stats_time(const struct user_stats *, enum urt__time, double p);
uint64_t user_stats_times(const struct user_stats *, enum urt__time);
/* Of that name; -1: there is none. */
int user_time_find(const char *name);
extern const char *const user_time_names[URT__TIME_COUNT];
/* a + b, a - b, into a. */
void user_stats_sum(struct user_stats *, const struct user_stats *);
void user_stats_subtract(struct user_stats *, const struct user_stats *);

#endif
