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
};

/*
 * Calls found(path, arg) for each descriptor of the process whose file is of
 * that name (a memfd, or NAME.PID.N in a directory), until it returns true.
 * path: in /proc, valid during the call.
 */
void user_stats_each_file(pid_t pid, const char *name,
			  bool (*found)(const char *path, void *arg),
			  void *arg);

/* A page, mapped; NULL: that process has none, or none that is ours to see. */
struct urt__stats_page *user_stats_map(pid_t pid);
struct urt__stats_page *user_stats_map_file(const char *path);
void user_stats_unmap(struct urt__stats_page *);

/* Adds what the page says now. */
void user_stats_add(struct user_stats *, const struct urt__stats_page *);

/*
 * A directory for the pages of the programs that are started from now on; the
 * environment tells them. NULL: could not be made.
 */
char *user_stats_dir_new(void);

/* Adds all pages in it. False: there is none. */
bool user_stats_dir_read(const char *dir, struct user_stats *);
void user_stats_dir_free(char *dir);

uint64_t user_stats_get(const struct user_stats *, const char *name);
/* a + b, a - b, into a. */
void user_stats_sum(struct user_stats *, const struct user_stats *);
void user_stats_subtract(struct user_stats *, const struct user_stats *);

#endif
