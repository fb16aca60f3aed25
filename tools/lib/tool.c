// SPDX-License-Identifier: MIT
/* Errors, numbers, time and JSON; see tool.h. */
#include "tool.h"
#include "text.h"
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

int fail(const char *format, ...)
{
	char text[4096];
	va_list ap;

	fflush(stdout);
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	fprintf(stderr, "urt: %s\n", text_clean(text));
	return EXIT_BAD;
}

bool parse_number(const char *name, const char *text, long min, long max,
		  long *out)
{
	char *end;

	errno = 0;
	*out = strtol(text, &end, 10);
	if (errno || end == text || *end || *out < min || *out > max) {
		fail("%s: \"%s\" is not a number from %ld to %ld", name, text,
		     min, max);
		return false;
	}
	return true;
}

int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

void sleep_ns(int64_t ns)
{
	struct timespec ts = { ns / NS_PER_S, ns % NS_PER_S };

	if (ns > 0)
		nanosleep(&ts, NULL);
}

unsigned pid_namespace(void)
{
	const unsigned first = 0xEFFFFFFC; /* PROC_PID_INIT_INO */
	struct stat st;

	if (stat("/proc/self/ns/pid", &st) || st.st_ino == first)
		return 0;
	return st.st_ino;
}

static unsigned min(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

unsigned edit_distance(const char *a, const char *b)
{
	unsigned d[32][32], n = min(strlen(a), 31), m = min(strlen(b), 31);

	for (unsigned i = 0; i <= n; i++)
		for (unsigned j = 0; j <= m; j++) {
			if (!i || !j) {
				d[i][j] = i + j;
				continue;
			}
			d[i][j] = min(min(d[i - 1][j], d[i][j - 1]) + 1,
				      d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1])
				d[i][j] = min(d[i][j], d[i - 2][j - 2] + 1);
		}
	return d[n][m];
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void sort_doubles(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), ascending);
}

/* ---- JSON ---- */

/* Always UTF-8, for any text (RFC 8259, 8.1). */
static void json_quote(FILE *out, const char *s)
{
	fputc('"', out);
	while (*s) {
		uint32_t c;
		size_t n = text_next(s, &c);

		if (c == TEXT_INVALID)
			fputs("\\ufffd", out);
		else if (c < 0x20 || (c >= 0x7f && c < 0xa0))
			fprintf(out, "\\u%04x", c);
		else if (c == '"' || c == '\\')
			fprintf(out, "\\%c", (int)c);
		else
			fwrite(s, 1, n, out);
		s += n;
	}
	fputc('"', out);
}

static void json_before(struct json *j, const char *name)
{
	if (j->comma)
		fputc(',', j->out);
	j->comma = true;
	if (name) {
		json_quote(j->out, name);
		fputc(':', j->out);
	}
}

static void json_open(struct json *j, const char *name, char bracket)
{
	json_before(j, name);
	fputc(bracket, j->out);
	j->comma = false;
	j->depth++;
}

static void json_close(struct json *j, char bracket)
{
	fputc(bracket, j->out);
	j->comma = true;
	if (!--j->depth) {
		fputc('\n', j->out);
		j->comma = false;
	}
}

void json_object(struct json *j, const char *name)
{
	json_open(j, name, '{');
}

void json_array(struct json *j, const char *name)
{
	json_open(j, name, '[');
}

void json_end_object(struct json *j)
{
	json_close(j, '}');
}

void json_end_array(struct json *j)
{
	json_close(j, ']');
}

void json_string(struct json *j, const char *name, const char *value)
{
	if (!value) {
		json_null(j, name);
		return;
	}
	json_before(j, name);
	json_quote(j->out, value);
}

void json_int(struct json *j, const char *name, int64_t value)
{
	json_before(j, name);
	fprintf(j->out, "%lld", (long long)value);
}

void json_double(struct json *j, const char *name, double value)
{
	char text[32];

	if (!isfinite(value)) {
		json_null(j, name);
		return;
	}
	json_before(j, name);
	for (int digits = 10; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, value);
		if (!j->exact || strtod(text, NULL) == value)
			break;
	}
	fputs(text, j->out);
}

void json_null(struct json *j, const char *name)
{
	json_before(j, name);
	fputs("null", j->out);
}

void json_int_or_null(struct json *j, const char *name, int64_t value,
		      bool known)
{
	if (known)
		json_int(j, name, value);
	else
		json_null(j, name);
}
