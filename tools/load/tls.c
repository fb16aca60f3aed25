// SPDX-License-Identifier: MIT
/*
 * See tls.h. OpenSSL reads and writes the socket itself. It reads ahead, so a
 * record takes one call of read(2) instead of two, and gives its buffers back
 * between records, since many connections may wait.
 *
 * Its error queue is emptied after each failure, which SSL_get_error relies on.
 */
#include "tls.h"

#ifdef URT_HAVE_TLS

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

const char *load_tls_missing(void)
{
	return NULL;
}

struct ssl_ctx_st *load_tls_open(void)
{
	static const unsigned char protocol[] = "\x08http/1.1";
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	signal(SIGPIPE, SIG_IGN);
	if (!ctx)
		return NULL;
	SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF |
					 SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_alpn_protos(ctx, protocol, sizeof(protocol) - 1);
	return ctx;
}

void load_tls_close(struct ssl_ctx_st *ctx)
{
	SSL_CTX_free(ctx);
}

struct ssl_st *load_tls_new(struct ssl_ctx_st *ctx, int fd)
{
	SSL *ssl = SSL_new(ctx);

	if (ssl && SSL_set_fd(ssl, fd)) {
		SSL_set_connect_state(ssl);
		return ssl;
	}
	ERR_clear_error();
	SSL_free(ssl);
	return NULL;
}

void load_tls_free(struct ssl_st *ssl)
{
	if (SSL_is_init_finished(ssl))
		SSL_shutdown(ssl);
	ERR_clear_error();
	SSL_free(ssl);
}

/* errno and OpenSSL's reason, before the queue is emptied. */
static const char *reason(int *err)
{
	unsigned long code = ERR_peek_error();
	const char *text = code ? ERR_reason_error_string(code) : NULL;

	*err = code ? EPROTO : errno ? errno : ECONNRESET;
	ERR_clear_error();
	return text ? text : strerror(*err);
}

int load_tls_shake(struct ssl_st *ssl, char said[LOAD_TLS_SAID])
{
	const char *why;
	int ret, err;

	errno = 0;
	ret = SSL_do_handshake(ssl);
	if (ret == 1) {
		if (!*said)
			snprintf(said, LOAD_TLS_SAID, "%s, %s",
				 SSL_get_version(ssl),
				 SSL_get_cipher_name(ssl));
		return 0;
	}
	err = SSL_get_error(ssl, ret);
	if (err == SSL_ERROR_WANT_READ || err == SSL_ERROR_WANT_WRITE)
		return err == SSL_ERROR_WANT_READ ? EPOLLIN : EPOLLOUT;
	why = reason(&err);
	if (!*said)
		snprintf(said, LOAD_TLS_SAID, "%s", why);
	return -err;
}

/* The result of a call that moved nothing, as that of recv(2). */
static ssize_t nothing(struct ssl_st *ssl, int ret)
{
	int err = SSL_get_error(ssl, ret);

	if (err == SSL_ERROR_ZERO_RETURN)
		return 0;
	if (err == SSL_ERROR_WANT_READ || err == SSL_ERROR_WANT_WRITE)
		err = EAGAIN;
	else
		reason(&err);
	errno = err;
	return -1;
}

ssize_t load_tls_send(struct ssl_st *ssl, const void *p, size_t len)
{
	int ret;

	errno = 0;
	ret = SSL_write(ssl, p, len);
	return ret > 0 ? ret : nothing(ssl, ret);
}

ssize_t load_tls_recv(struct ssl_st *ssl, void *p, size_t len)
{
	int ret;

	errno = 0;
	ret = SSL_read(ssl, p, len);
	return ret > 0 ? ret : nothing(ssl, ret);
}

int load_tls_pending(const struct ssl_st *ssl)
{
	return SSL_has_pending(ssl);
}

#else

#include <errno.h>

const char *load_tls_missing(void)
{
#ifdef URT_STATIC
	return "the static urt has no TLS: use one that `make` builds where "
	       "OpenSSL 3 is installed";
#else
	return "this urt was built without TLS: install OpenSSL 3 "
	       "(libssl-dev, or openssl-devel), and build it again";
#endif
}

struct ssl_ctx_st *load_tls_open(void)
{
	return NULL;
}

void load_tls_close(struct ssl_ctx_st *ctx)
{
}

struct ssl_st *load_tls_new(struct ssl_ctx_st *ctx, int fd)
{
	return NULL;
}

void load_tls_free(struct ssl_st *ssl)
{
}

int load_tls_shake(struct ssl_st *ssl, char said[LOAD_TLS_SAID])
{
	return -EOPNOTSUPP;
}

ssize_t load_tls_send(struct ssl_st *ssl, const void *p, size_t len)
{
	return -1;
}

ssize_t load_tls_recv(struct ssl_st *ssl, void *p, size_t len)
{
	return -1;
}

int load_tls_pending(const struct ssl_st *ssl)
{
	return 0;
}

#endif
