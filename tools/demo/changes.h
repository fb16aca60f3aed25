/* SPDX-License-Identifier: MIT */
/* `urt demo --compare`: the changes from one result to another. */
#ifndef URT_DEMO_CHANGES_H
#define URT_DEMO_CHANGES_H

#include "document.h"
#include <stdio.h>

void demo_print_changes(FILE *, const struct demo_document *old_result,
			const struct demo_document *new_result);

#endif
