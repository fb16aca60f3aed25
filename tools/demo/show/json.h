/* SPDX-License-Identifier: MIT */
/* The parts of the document: json.c, json_measured.c. */
#ifndef URT_DEMO_JSON_H
#define URT_DEMO_JSON_H

#include "show.h"
#include "../../lib/tool.h"

void json_string_or_null(struct json *, const char *name, const char *);
void demo_json_measurements(struct json *, const struct demo *);

#endif
