// SPDX-License-Identifier: MIT
/* Members are visited in the document's order, as jansson keeps it. */
#include "json.h"
#include "json_tree.h"
#include "tool_run.h"

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

json_t *document(void)
{
	static json_t *last;
	const char *start = text[0] == '{' ? text : strstr(text, "\n{");

	json_decref(last);
	last = start ? json_loads(start, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
	return last;
}

static json_t *any(json_t *v)
{
	return v;
}

json_t *member(json_t *in, const char *name)
{
	return find(in, name, any);
}

static double number_of(json_t *v)
{
	return json_is_number(v) ? json_number_value(v) : __builtin_nan("");
}

double value(json_t *in, const char *name)
{
	wanted = name;
	return number_of(with_wanted(in));
}

double figure(const char *section, const char *name)
{
	json_t *in = document();

	wanted = name;
	return number_of(section ? find(in, section, with_wanted)
				 : with_wanted(in));
}

long long number(const char *section, const char *name)
{
	double n = figure(section, name);

	return n == n ? (long long)n : -1;
}

static json_t *wanted_members;

static bool has_wanted(json_t *v)
{
	const char *key;
	json_t *is;

	json_object_foreach(
		wanted_members, key,
		is) if (!json_equal(json_object_get(v, key), is)) return false;
	return true;
}

static json_t *matching(json_t *v)
{
	const char *key;
	json_t *child, *found = NULL;
	size_t i;

	if (has_wanted(v))
		return v;
	json_array_foreach(v, i,
			   child) if ((found = matching(child))) return found;
	json_object_foreach(v, key,
			    child) if ((found = matching(child))) return found;
	return NULL;
}

json_t *row(const char *section, json_t *members)
{
	json_t *in = document(), *found;

	wanted_members = members;
	wanted = section;
	found = section ? find(in, section, matching) : matching(in);
	json_decref(members);
	return found;
}
