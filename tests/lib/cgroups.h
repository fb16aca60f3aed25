/* SPDX-License-Identifier: MIT */
/* Cgroups that tests make, and processes in them. */
#ifndef URT_TEST_CGROUPS_H
#define URT_TEST_CGROUPS_H

#include <stdbool.h>

extern char cgroup_mount[64]; /* of cgroup2, once have_cgroups has found it */

/* False: none is there, or none that can be written to. */
bool have_cgroups(void);

/* Makes the cgroup /urt-churn-ROUND-I; a process begins its life there, makes 3 calls of
 * RARE_CALL (tool_run.h), and ends. */
void test_group_make(unsigned round, unsigned i);
void test_group_remove(unsigned round, unsigned i);

#endif
