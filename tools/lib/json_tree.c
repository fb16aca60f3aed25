// SPDX-License-Identifier: MIT
/*
 * A recursive descent over the text. The text ends with a zero, which no rule
 * accepts, so no step needs to check the size. Strings are unescaped in place,
 * since an escape is never shorter than its character. DEPTH_MAX bounds the
 * recursion.
 */
#include "json_tree.h"
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 64

struct reader {
	char *at;
	int depth;
};

static struct json_value *value(struct reader *, const char *name);

static void space(struct reader *r)
{
	r->at += strspn(r->at, " \t\r\n");
}

static bool take(struct reader *r, char c)
{
	if (*r->at != c)
		return false;
	r->at++;
	return true;
}

/* Four hexadecimal digits at p; -1: there are none. */
static int32_t hex4(const char *p)
{
	char digits[5] = { 0 };

	for (int i = 0; i < 4; i++) {
		if (!p[i] || !strchr("0123456789abcdefABCDEF", p[i]))
			return -1;
		digits[i] = p[i];
	}
	return strtol(digits, NULL, 16);
}

static char *put_utf8(char *to, uint32_t c)
{
	if (c < 0x80) {
		*to++ = c;
	} else if (c < 0x800) {
		*to++ = 0xc0 | c >> 6;
		*to++ = 0x80 | (c & 0x3f);
	} else if (c < 0x10000) {
		*to++ = 0xe0 | c >> 12;
		*to++ = 0x80 | (c >> 6 & 0x3f);
		*to++ = 0x80 | (c & 0x3f);
	} else {
		*to++ = 0xf0 | c >> 18;
		*to++ = 0x80 | (c >> 12 & 0x3f);
		*to++ = 0x80 | (c >> 6 & 0x3f);
		*to++ = 0x80 | (c & 0x3f);
	}
	return to;
}

/* After "\u". Half of a surrogate pair becomes U+FFFD, and so does NUL, which
 * would end the string for its readers. */
static char *unicode(struct reader *r, char *to)
{
	int32_t c = hex4(r->at), low;

	if (c < 0)
		return NULL;
	r->at += 4;
	if (!c)
		c = 0xfffd;
	if (c < 0xd800 || c > 0xdfff)
		return put_utf8(to, c);
	if (c < 0xdc00 && r->at[0] == '\\' && r->at[1] == 'u' &&
	    (low = hex4(r->at + 2)) >= 0xdc00 && low <= 0xdfff) {
		r->at += 6;
		return put_utf8(to, 0x10000 + ((c - 0xd800) << 10) +
					    (low - 0xdc00));
	}
	return put_utf8(to, 0xfffd);
}

/* The place after the character; NULL: no such escape. */
static char *escape(struct reader *r, char *to)
{
	static const char from[] = "\"\\/bfnrt", is[] = "\"\\/\b\f\n\r\t";
	const char *p;

	if (take(r, 'u'))
		return unicode(r, to);
	p = *r->at ? strchr(from, *r->at) : NULL;
	if (!p)
		return NULL;
	r->at++;
	*to++ = is[p - from];
	return to;
}

static const char *string(struct reader *r)
{
	char *begin, *to;

	if (!take(r, '"'))
		return NULL;
	begin = to = r->at;
	while (*r->at != '"') {
		if ((unsigned char)*r->at < ' ')
			return NULL;
		if (!take(r, '\\'))
			*to++ = *r->at++;
		else if (!(to = escape(r, to)))
			return NULL;
	}
	r->at++;
	*to = '\0';
	return begin;
}

static const char *digits(const char *p)
{
	size_t n = strspn(p, "0123456789");

	return n ? p + n : NULL;
}

/* strtod accepts more than JSON, so the form is checked first. */
static bool number(struct reader *r, double *to)
{
	const char *p = r->at + (*r->at == '-');

	p = *p == '0' ? p + 1 : digits(p);
	if (p && *p == '.')
		p = digits(p + 1);
	if (p && (*p == 'e' || *p == 'E')) {
		p++;
		p = digits(p + (*p == '+' || *p == '-'));
	}
	if (!p)
		return false;
	*to = strtod(r->at, NULL);
	r->at += p - r->at;
	return true;
}

static bool word(struct reader *r, const char *is)
{
	size_t n = strlen(is);

	if (strncmp(r->at, is, n))
		return false;
	r->at += n;
	return true;
}

/* Members or elements, after the opening bracket. */
static bool children(struct reader *r, struct json_value *v, char end)
{
	struct json_value **last = &v->child;

	space(r);
	if (take(r, end))
		return true;
	do {
		const char *name = NULL;

		space(r);
		if (end == '}') {
			name = string(r);
			if (!name)
				return false;
			space(r);
			if (!take(r, ':'))
				return false;
		}
		*last = value(r, name);
		if (!*last)
			return false;
		last = &(*last)->next;
		space(r);
	} while (take(r, ','));
	return take(r, end);
}

static bool fill_in(struct reader *r, struct json_value *v)
{
	if (take(r, '{')) {
		v->type = JSON_OBJECT;
		return children(r, v, '}');
	}
	if (take(r, '[')) {
		v->type = JSON_ARRAY;
		return children(r, v, ']');
	}
	if (*r->at == '"') {
		v->type = JSON_STRING;
		v->string = string(r);
		return v->string;
	}
	if (word(r, "null"))
		return true;
	v->type = JSON_BOOL;
	if (word(r, "true")) {
		v->number = 1;
		return true;
	}
	if (word(r, "false"))
		return true;
	v->type = JSON_NUMBER;
	return number(r, &v->number);
}

static struct json_value *value(struct reader *r, const char *name)
{
	struct json_value *v;
	bool fine;

	space(r);
	if (r->depth == DEPTH_MAX)
		return NULL;
	v = calloc(1, sizeof(*v));
	if (!v)
		abort();
	v->name = name;
	r->depth++;
	fine = fill_in(r, v);
	r->depth--;
	if (fine)
		return v;
	json_tree_free(v);
	return NULL;
}

struct json_value *json_tree(char *text, size_t size, const char **wrong)
{
	struct reader r = { .at = text };
	struct json_value *v = value(&r, NULL);

	space(&r);
	*wrong = r.at;
	if (v && r.at == text + size)
		return v;
	json_tree_free(v);
	return NULL;
}

void json_tree_free(struct json_value *v)
{
	while (v) {
		struct json_value *next = v->next;

		json_tree_free(v->child);
		free(v);
		v = next;
	}
}

const struct json_value *json_member(const struct json_value *v,
				     const char *name)
{
	const struct json_value *m = NULL;

	if (v && v->type == JSON_OBJECT)
		for (m = v->child; m && strcmp(m->name, name);)
			m = m->next;
	return m;
}

const char *json_text(const struct json_value *v, const char *name)
{
	const struct json_value *m = json_member(v, name);

	return m ? m->string : NULL;
}

double json_number(const struct json_value *v, const char *name)
{
	const struct json_value *m = json_member(v, name);

	return m && m->type == JSON_NUMBER ? m->number : NAN;
}
