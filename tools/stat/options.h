/* SPDX-License-Identifier: MIT */
/* Functions that the table of `urt stat`'s options (option_table.c) calls:
 * options.c. */
#ifndef URT_STAT_OPTIONS_H
#define URT_STAT_OPTIONS_H

#include "stat.h"
#include "../lib/options.h"

/* Each takes a struct stat_options and the option's argument. */
bool stat_take_pids(void *to, char *arg);
bool stat_take_tids(void *to, char *arg);
bool stat_take_cpus(void *to, char *arg);
bool stat_take_events(void *to, char *arg);
bool stat_take_null(void *to, char *arg);
bool stat_take_no_aggr(void *to, char *arg);
bool stat_take_cgroups(void *to, char *arg);
bool stat_take_assert(void *to, char *arg);
bool stat_take_budget(void *to, char *arg);
bool stat_take_baseline(void *to, char *arg);
bool stat_take_ops_from(void *to, char *arg);
bool stat_take_list(void *to, char *arg);
bool stat_take_user(void *to, char *arg);
bool stat_take_control(void *to, char *arg);
bool stat_take_by(void *to, char *arg);
bool stat_take_separator(void *to, char *arg);
bool stat_take_format(void *to, char *arg);

/* Possible words, for completion. */
void stat_by_words(option_word *f, void *arg);
void stat_figure_words(option_word *f, void *arg);
void stat_ops_words(option_word *f, void *arg);
void stat_format_words(option_word *f, void *arg);

#endif
