// SPDX-License-Identifier: MIT
/* See json.h. Members are visited in the document's order, as jansson keeps it. */
#include "json.h"
#include "tool_run.h"
#include <jansson.h>

/* The first member of that name, which `take` accepts. */
static json_t *find(json_t *v, const char *name, json_t *(*take)(json_t *))
{
	json_t *child, *found = NULL;
	const char *key;
	size_t i;

	if (json_is_array(v)) {
		json_array_foreach(v, i, child)
		{
			found = find(child, name, take);
			if (found)
				return found;
		}
		return NULL;
	}
	json_object_foreach(v, key, child)
	{
		if (!strcmp(key, name))
			found = take(child);
		if (!found)
			found = find(child, name, take);
		if (found)
			return found;
	}
	return NULL;
}

static const char *wanted;

static json_t *scalar(json_t *v)
{
	return json_is_number(v) || json_is_null(v) ? v : NULL;
}

static json_t *with_wanted(json_t *v)
{
	return find(v, wanted, scalar);
}

double figure(const char *section, const char *name)
{
	const char *start = text[0] == '{' ? text : strstr(text, "\n{");
	json_t *document =
		start ? json_loads(start, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
	double value = __builtin_nan("");
	json_t *found;

	wanted = name;
	found = section ? find(document, section, with_wanted)
			: with_wanted(document);
	if (json_is_number(found))
		value = json_number_value(found);
	json_decref(document);
	return value;
}

long long number(const char *section, const char *name)
{
	double value = figure(section, name);

	return value == value ? (long long)value : -1;
}
