// SPDX-License-Identifier: MIT
#include "tls.h"
#include "../lib/tool.h"

#ifdef URT_HAVE_TLS

#include "../../uring_rt/urt_tls.h"
#include <openssl/ec.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define DAY_S 86400
/* For a handshake, and for an end; thousands of handshakes may wait for a CPU. */
#define PATIENCE_S 60
/* The stream's own buffers are not used: the model has one of its own, and
 * reads and writes that are larger than the stream's go around them. */
#define STREAM_SIZE 16

static struct urt_tls *tls;

static bool add_names(X509 *x)
{
	X509_NAME *name = X509_NAME_new();
	X509_EXTENSION *san = X509V3_EXT_conf_nid(
		NULL, NULL, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
	bool fine =
		name && san && X509_add_ext(x, san, -1) &&
		X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
					   (const unsigned char *)"localhost",
					   -1, -1, 0) &&
		X509_set_subject_name(x, name) && X509_set_issuer_name(x, name);

	X509_NAME_free(name);
	X509_EXTENSION_free(san);
	return fine;
}

/* A certificate of the key, for localhost; NULL: OpenSSL failed. */
static X509 *certificate_of(EVP_PKEY *key)
{
	X509 *x = X509_new();
	uint32_t serial; /* browsers refuse one that they know */

	if (x && RAND_bytes((unsigned char *)&serial, sizeof(serial)) == 1 &&
	    X509_set_version(x, X509_VERSION_3) &&
	    ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial) &&
	    X509_gmtime_adj(X509_getm_notBefore(x), -DAY_S) &&
	    X509_gmtime_adj(X509_getm_notAfter(x), 30 * DAY_S) &&
	    add_names(x) && X509_set_pubkey(x, key) &&
	    X509_sign(x, key, EVP_sha256()))
		return x;
	X509_free(x);
	return NULL;
}

bool tls_open(void)
{
	static const char *const protocols[] = { "http/1.1", NULL };
	struct urt_tls_options o = { .protocols = protocols };
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = key ? certificate_of(key) : NULL;
	SSL_CTX *ctx;
	bool fine;

	if (urt_tls_new(&tls, &o))
		return !fail("TLS: %s", urt_tls_why());
	ctx = urt_tls_context(tls);
	fine = x && SSL_CTX_use_certificate(ctx, x) == 1 &&
	       SSL_CTX_use_PrivateKey(ctx, key) == 1 &&
	       SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1;
	X509_free(x);
	EVP_PKEY_free(key);
	return fine || !fail("OpenSSL cannot make a certificate");
}

static int64_t soon(void)
{
	return urt_after(PATIENCE_S * NS_PER_S);
}

struct urt_stream *tls_accept(int fd)
{
	struct urt_stream *s;

	return urt_tls_server(tls, fd, STREAM_SIZE, &s, soon()) ? NULL : s;
}

void tls_linger(struct urt_stream *s)
{
	char dropped[4096];

	if (urt_tls_shutdown(s, URT_NEVER))
		return;
	while (urt_stream_read(s, dropped, sizeof(dropped), URT_NEVER) > 0)
		;
}

void tls_end(struct urt_stream *s)
{
	urt_tls_end(s, soon());
}

#else

#include "../load/tls.h"
#include <stddef.h>

bool tls_open(void)
{
	return !fail("%s", load_tls_missing());
}

struct urt_stream *tls_accept(int fd)
{
	return NULL;
}

void tls_linger(struct urt_stream *s)
{
}

void tls_end(struct urt_stream *s)
{
}

#endif
