// SPDX-License-Identifier: MIT
/*
 * OpenTelemetry's process context (OTEP 4719): a mapping named OTEL_CTX, in
 * which profilers find how to read the contexts of threads (OTEP 4947) and the
 * names of the keys that these use.
 *
 *	| header | payload, even versions | payload, odd versions |
 *
 * A reader takes the header, the payload, and the header again; a time that is
 * 0, or that has changed, means that the payload has changed meanwhile. So each
 * version is written to the half that the version before does not use. Then the
 * header changes between two stores of the time, the first of which is 0.
 *
 * The mapping is made once and never moved. A forked child does not inherit it
 * (MADV_DONTFORK) and makes its own.
 *
 * The payload is a protobuf message of three kinds of fields, written by hand:
 *
 *	ProcessContext	2: KeyValue, repeated
 *	KeyValue	1: name		2: AnyValue
 *	AnyValue	1: string	5: ArrayValue, of which 1: AnyValue, repeated
 */
#define _GNU_SOURCE
#include "announce.h"
#include "lock.h"
#include "sys.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA	     0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

#define NAME "OTEL_CTX"
/* The text of the OTEP names "tls_v1" for the final version. Published readers
 * know this one. */
#define SCHEMA	"tlsdesc_v1_dev"
#define VERSION 2
#define HALF	(32 * 1024) /* bytes; 256 keys of 64 need 18 KiB */

struct header {
	char signature[8];
	uint32_t version;
	uint32_t payload_size; /* bytes */
	uint64_t published_ns; /* CLOCK_BOOTTIME; 0: it is being changed */
	uint64_t payload;      /* address */
};
static_assert(sizeof(struct header) == 32, "the layout of OTEP 4719");

static struct header *header; /* NULL: not published */

/* ---- the message ---- */

static size_t varint_size(size_t n)
{
	return n < 0x80 ? 1 : n < 0x4000 ? 2 : 3;
}

static uint8_t *put_varint(uint8_t *p, size_t n)
{
	for (; n >= 0x80; n >>= 7)
		*p++ = n | 0x80;
	*p++ = n;
	return p;
}

/* A field that is a string or a message of n bytes: all but those. */
static uint8_t *put_field(uint8_t *p, unsigned number, size_t n)
{
	*p++ = number << 3 | 2;
	return put_varint(p, n);
}

static size_t field_size(size_t n)
{
	return 1 + varint_size(n) + n;
}

static uint8_t *put_string(uint8_t *p, unsigned number, const char *s)
{
	size_t n = strlen(s);

	p = put_field(p, number, n);
	memcpy(p, s, n);
	return p + n;
}

/* The beginning of an attribute whose value takes n bytes. */
static uint8_t *put_attribute(uint8_t *p, const char *name, size_t n)
{
	p = put_field(p, 2, field_size(strlen(name)) + field_size(n));
	p = put_string(p, 1, name);
	return put_field(p, 2, n);
}

static size_t write_payload(uint8_t *to,
			    const char (*key)[URT__CONTEXT_KEY_MAX + 1],
			    unsigned n)
{
	size_t names = 0;
	uint8_t *p = to;

	for (unsigned i = 0; i < n; i++)
		names += field_size(field_size(strlen(key[i])));
	p = put_attribute(p, "threadlocal.schema_version",
			  field_size(strlen(SCHEMA)));
	p = put_string(p, 1, SCHEMA);
	p = put_attribute(p, "threadlocal.attribute_key_map",
			  field_size(names));
	p = put_field(p, 5, names);
	for (unsigned i = 0; i < n; i++) {
		p = put_field(p, 1, field_size(strlen(key[i])));
		p = put_string(p, 1, key[i]);
	}
	return p - to;
}

/* ---- the mapping ---- */

static size_t mapping_size(void)
{
	return 4096 + 2 * HALF;
}

/* Without a memfd, readers find the mapping only by its name. */
static int map(struct header **out)
{
	int fd = urt__sys_memfd(NAME), err = 0;
	void *p = NULL;

	if (fd >= 0)
		err = urt__sys_ftruncate(fd, mapping_size());
	if (!err)
		err = urt__sys_mmap(&p, mapping_size(), PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | (fd < 0 ? MAP_ANONYMOUS : 0),
				    fd, 0);
	if (!err)
		err = urt__sys_madvise(p, mapping_size(), MADV_DONTFORK);
	if (!err &&
	    prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, mapping_size(), NAME) &&
	    fd < 0)
		err = -ENOTSUP;
	if (err && p)
		munmap(p, mapping_size());
	if (fd >= 0)
		close(fd);
	*out = p;
	return err;
}

static uint64_t boot_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec * UINT64_C(1000000000) + ts.tv_nsec;
}

int urt__announce(const char (*key)[URT__CONTEXT_KEY_MAX + 1], unsigned n)
{
	struct header *h = header;
	uint64_t before_ns, now_ns = boot_ns();
	uint8_t *half;
	int err = h ? 0 : map(&h);

	if (err)
		return err;
	before_ns = h->published_ns;
	half = (uint8_t *)h + 4096;
	if (h->payload == (uintptr_t)half)
		half += HALF;
	__atomic_store_n(&h->published_ns, 0, __ATOMIC_RELAXED);
	urt__fence();
	h->version = VERSION;
	h->payload_size = write_payload(half, key, n);
	h->payload = (uintptr_t)half;
	urt__fence();
	__atomic_store_n(&h->published_ns,
			 now_ns > before_ns ? now_ns : before_ns + 1,
			 __ATOMIC_RELEASE);
	urt__fence();
	if (!header)
		memcpy(h->signature, NAME, sizeof(h->signature));
	header = h;
	return 0;
}

void urt__announce_forget(void)
{
	header = NULL;
}
