// SPDX-License-Identifier: MIT
/*
 * The common part of TLS connections: certificates, trusted authorities,
 * protocols, and the sessions that a client can resume.
 *
 * OpenSSL gives a client its tickets when they arrive, some time after the
 * handshake (TLS 1.3), by a callback; they are kept by the name that was asked
 * for, the last ticket for each name. A ticket of TLS 1.3 is used once (RFC
 * 8446, appendix C.4), and each connection brings new ones.
 */
#define _GNU_SOURCE
#include "tls.h"
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- why --------------------------------------------------------------- */

#define WHY_SIZE 256

static __thread char why_thread[WHY_SIZE];
static int why_key = -1;
static pthread_once_t once = PTHREAD_ONCE_INIT;
int urt__tls_name_index;

static void make_keys(void)
{
	why_key = urt_local_key(free);
	urt__tls_name_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

/* The calling coroutine's, or thread's. */
static char *why(void)
{
	char *text;

	if (!urt_self() || why_key < 0)
		return why_thread;
	text = urt_local_get(why_key);
	if (text)
		return text;
	text = calloc(1, WHY_SIZE);
	if (text && !urt_local_set(why_key, text))
		return text;
	free(text);
	return why_thread;
}

const char *urt_tls_why(void)
{
	const char *text = why();

	return *text ? text : "nothing has failed";
}

int urt__tls_because(int err, const char *what)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	snprintf(why(), WHY_SIZE, "%s%s%s", what, reason ? ": " : "",
		 reason ? reason : "");
	ERR_clear_error();
	return err;
}

/* ---- sessions ---------------------------------------------------------- */

/* 1: the session is kept, with the reference that came. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	struct urt_tls *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	const char *name = SSL_get_ex_data(ssl, urt__tls_name_index);
	SSL_SESSION *old;
	unsigned i = 0;

	if (!name)
		return 0;
	pthread_mutex_lock(&t->lock);
	while (i < URT__TLS_SESSIONS && strcmp(t->sessions[i].name, name))
		i++;
	if (i == URT__TLS_SESSIONS)
		i = t->next++ % URT__TLS_SESSIONS;
	old = t->sessions[i].session;
	snprintf(t->sessions[i].name, URT__TLS_NAME, "%s", name);
	t->sessions[i].session = session;
	pthread_mutex_unlock(&t->lock);
	SSL_SESSION_free(old);
	return 1;
}

SSL_SESSION *urt__tls_session(struct urt_tls *t, const char *name)
{
	SSL_SESSION *session = NULL;

	pthread_mutex_lock(&t->lock);
	for (unsigned i = 0; i < URT__TLS_SESSIONS && !session; i++)
		if (!strcmp(t->sessions[i].name, name)) {
			session = t->sessions[i].session;
			if (session && SSL_SESSION_get_protocol_version(
					       session) < TLS1_3_VERSION)
				SSL_SESSION_up_ref(session);
			else
				t->sessions[i].session = NULL;
		}
	pthread_mutex_unlock(&t->lock);
	return session;
}

/* ---- a configuration --------------------------------------------------- */

/* The server's choice of a protocol: the best one that the client has, too, or
 * none. */
static int choose_protocol(SSL *ssl, const unsigned char **out,
			   unsigned char *len, const unsigned char *in,
			   unsigned in_len, void *arg)
{
	struct urt_tls *t = arg;
	unsigned char *chosen;

	(void)ssl;
	if (SSL_select_next_proto(&chosen, len, t->protocols, t->nr_protocols,
				  in, in_len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static int set_protocols(struct urt_tls *t, const char *const *list)
{
	for (; list && *list; list++) {
		size_t len = strlen(*list);

		if (!len || len > 255 ||
		    t->nr_protocols + 1 + len > sizeof(t->protocols))
			return urt__tls_because(
				-EINVAL, "urt_tls_options.protocols: an empty "
					 "name, or more than 255 bytes");
		t->protocols[t->nr_protocols++] = len;
		memcpy(t->protocols + t->nr_protocols, *list, len);
		t->nr_protocols += len;
	}
	if (!t->nr_protocols)
		return 0;
	SSL_CTX_set_alpn_select_cb(t->ctx, choose_protocol, t);
	return SSL_CTX_set_alpn_protos(t->ctx, t->protocols, t->nr_protocols)
		       ? urt__tls_because(-ENOMEM, "ALPN")
		       : 0;
}

static int bad_file(const char *option, const char *path)
{
	char what[200];

	snprintf(what, sizeof(what), "urt_tls_options.%s: %s", option,
		 path ? path : "not given");
	return urt__tls_because(-EINVAL, what);
}

static int set_files(SSL_CTX *ctx, const struct urt_tls_options *o)
{
	if (o->certificate &&
	    SSL_CTX_use_certificate_chain_file(ctx, o->certificate) != 1)
		return bad_file("certificate", o->certificate);
	if (o->certificate &&
	    (!o->key ||
	     SSL_CTX_use_PrivateKey_file(ctx, o->key, SSL_FILETYPE_PEM) != 1))
		return bad_file("key", o->key);
	if (o->authorities ? SSL_CTX_load_verify_file(ctx, o->authorities) != 1
			   : SSL_CTX_set_default_verify_paths(ctx) != 1)
		return bad_file("authorities", o->authorities);
	return 0;
}

static void set_defaults(struct urt_tls *t)
{
	static const unsigned char id[] = "uring_rt";

	SSL_CTX_set_app_data(t->ctx, t);
	SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(t->ctx, SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_mode(t->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
					 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					 SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_id_context(t->ctx, id, sizeof(id) - 1);
	SSL_CTX_set_session_cache_mode(
		t->ctx, SSL_SESS_CACHE_BOTH | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(t->ctx, keep_session);
}

int urt_tls_new(struct urt_tls **tls, const struct urt_tls_options *o)
{
	struct urt_tls *t = calloc(1, sizeof(*t));
	int err;

	pthread_once(&once, make_keys);
	ERR_clear_error();
	if (!t)
		return urt__tls_because(-ENOMEM, "out of memory");
	pthread_mutex_init(&t->lock, NULL);
	t->ctx = SSL_CTX_new(TLS_method());
	if (!t->ctx) {
		free(t);
		return urt__tls_because(-ENOMEM, "SSL_CTX_new");
	}
	t->kernel = o->kernel;
	set_defaults(t);
	err = set_files(t->ctx, o);
	if (!err)
		err = set_protocols(t, o->protocols);
	if (err) {
		urt_tls_free(t);
		return err;
	}
	/* A client's failed verification; stream.c reports that of a server's
	 * connections. */
	SSL_CTX_set_verify(t->ctx,
			   (o->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER) |
				   (o->verify_client
					    ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT
					    : 0),
			   NULL);
	*tls = t;
	return 0;
}

void urt_tls_free(struct urt_tls *t)
{
	if (!t)
		return;
	for (unsigned i = 0; i < URT__TLS_SESSIONS; i++)
		SSL_SESSION_free(t->sessions[i].session);
	SSL_CTX_free(t->ctx);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

struct ssl_ctx_st *urt_tls_context(struct urt_tls *t)
{
	return t->ctx;
}
