/* SPDX-License-Identifier: MIT */
/* Reading a document of `urt demo` (`text` of tool_run.h). */
#ifndef URT_TEST_DEMO_RUN_H
#define URT_TEST_DEMO_RUN_H

#include "service.h"

/* Whether this is the verdict of claim n. */
bool verdict(int n, const char *is);
/* Expects that no experiment failed, or prints why it did. */
void none_failed(void);

#endif
