/* SPDX-License-Identifier: MIT */
/*
 * TLS as a client, by OpenSSL 3, on sockets that may be non-blocking. Servers
 * are not verified: any certificate is accepted. Sessions are not resumed, so
 * each connection makes a whole handshake. The process ignores SIGPIPE.
 */
#ifndef URT_LOAD_TLS_H
#define URT_LOAD_TLS_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

struct ssl_st;
struct ssl_ctx_st;

/* Why this urt has no TLS, client or server, or NULL; static. */
const char *load_tls_missing(void);

/* The common part of connections; NULL: no memory. */
struct ssl_ctx_st *load_tls_open(void);
void load_tls_close(struct ssl_ctx_st *);

/* For a socket that is connected, which stays the caller's. NULL: no memory. */
struct ssl_st *load_tls_new(struct ssl_ctx_st *, int fd);
/* Says the end, if the handshake was made, and frees it. */
void load_tls_free(struct ssl_st *);

#define LOAD_TLS_SAID 96

/*
 * Goes on with the handshake. 0: it is made; EPOLLIN, EPOLLOUT: to be called
 * again after this event; -errno: it failed. If `said` is empty, then writes
 * protocol and cipher, or why it failed, into it.
 */
int load_tls_shake(struct ssl_st *, char said[LOAD_TLS_SAID]);

/* As send(2) and recv(2). An end without close_notify is an end, too. */
ssize_t load_tls_send(struct ssl_st *, const void *, size_t);
ssize_t load_tls_recv(struct ssl_st *, void *, size_t);
/* Whether more may be received that the socket no longer has. */
int load_tls_pending(const struct ssl_st *);

/* The same for a connection with TLS or, if tls is NULL, without. */
static inline ssize_t load_send(int fd, struct ssl_st *tls, const void *p,
				size_t len)
{
	return tls ? load_tls_send(tls, p, len)
		   : send(fd, p, len, MSG_NOSIGNAL);
}

static inline ssize_t load_recv(int fd, struct ssl_st *tls, void *p, size_t len)
{
	return tls ? load_tls_recv(tls, p, len) : recv(fd, p, len, 0);
}

#endif
