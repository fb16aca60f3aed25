/* SPDX-License-Identifier: MIT */
/* The names of cgroups (v2), by their ids. */
#ifndef URT_CGROUPS_H
#define URT_CGROUPS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CGROUP_LABEL_MAX 256

struct cgroups;

/* NULL: no memory. Without a cgroup2 mount, all threads belong to one group. */
struct cgroups *cgroups_new(bool by_unit);
void cgroups_free(struct cgroups *);
/* Scans the hierarchy again. */
void cgroups_scan(struct cgroups *);
/*
 * The label of a cgroup: its path below the mount, or its systemd unit; NULL:
 * there is no such cgroup. Valid until the next scan.
 */
const char *cgroups_label(const struct cgroups *, uint64_t id);
/* The label of a process's cgroup; NULL: the process is gone. */
const char *cgroups_of_process(const struct cgroups *, pid_t pid);
/* The label that it had in the scan before the last one, or NULL. */
const char *cgroups_label_before(const struct cgroups *, uint64_t id);

#endif
