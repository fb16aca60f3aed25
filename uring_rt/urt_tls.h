/* SPDX-License-Identifier: MIT */
/*
 * urt_tls.h - TLS for uring_rt, by OpenSSL 3: a library of its own,
 * liburing_rt_tls, with a .pc file of its own.
 *
 * A connection is a urt_stream (urt.h): read, write, lines, deadlines and
 * cancellation are as there, and urt_stream_close says close_notify and waits
 * up to a second for the other side's end before it closes the descriptor, since
 * what that has not read yet would be lost. One coroutine may read while another
 * writes.
 *
 * No function of OpenSSL suspends: it works on memory, and the runtime sends and
 * receives. So what OpenSSL keeps for each thread stays where it is.
 *
 * The stack of a coroutine that makes a handshake should be 64 KiB or more (the
 * default is 128 KiB).
 *
 * A stream that ends without close_notify was cut short, perhaps by an attacker:
 * reading returns -ECONNRESET there, and not 0.
 *
 * Not done: TLS in the kernel (kTLS), renegotiation, early data.
 */
#ifndef URT_TLS_H
#define URT_TLS_H

#include "urt.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ssl_st;
struct ssl_ctx_st;

/* What connections have in common. Initialise with `{ 0 }`. */
struct urt_tls_options {
	const char *certificate; /* PEM file: own certificate, then the chain.
	                            A server needs one */
	const char *key;	 /* PEM file: its private key */
	const char *authorities; /* PEM file of those to trust. NULL: the
	                            system's */
	const char *const *protocols; /* ALPN, best first, ends with NULL; NULL:
	                                 none */
	bool verify_client; /* a server: clients must show a certificate */
	bool insecure;	    /* a client: any certificate of any name will do */
};

/*
 * A client verifies the server's certificate and name, unless told otherwise.
 * TLS 1.2 and 1.3. Sessions are resumed: a server gives tickets, a client keeps
 * the last one of 64 names. From any thread, also without a run; reads the files
 * at once. 0; -ENOMEM; -EINVAL: a file is missing or wrong, and urt_tls_why()
 * says which.
 */
struct urt_tls;
URT_API int urt_tls_new(struct urt_tls **, const struct urt_tls_options *);
/* When its connections are closed. NULL is fine. */
URT_API void urt_tls_free(struct urt_tls *);

/* For what is not here: OpenSSL's own. urt_tls_context: before the first
 * connection. urt_tls_ssl: NULL if the stream is not of TLS; not while another
 * coroutine uses the stream. */
URT_API struct ssl_ctx_st *urt_tls_context(struct urt_tls *);
URT_API struct ssl_st *urt_tls_ssl(const struct urt_stream *);

/*
 * Makes the handshake on a connected socket; then *stream has buffers of `size`
 * bytes, as urt_stream_new. name: whom the client wants to talk to, a host's
 * name or an IP address, for SNI and verification. 0; -EPROTO: the handshake
 * failed; -EACCES: the certificate was refused, by this or the other side;
 * -ECONNRESET; -ETIME; -ECANCELED; -ENOMEM; of send(2) and recv(2). urt_tls_why
 * tells more. On failure the descriptor is the caller's and still open. May
 * suspend.
 */
URT_API int urt_tls_client(struct urt_tls *, int fd, const char *name,
			   size_t size, struct urt_stream **stream,
			   int64_t deadline_ns);
URT_API int urt_tls_server(struct urt_tls *, int fd, size_t size,
			   struct urt_stream **stream, int64_t deadline_ns);

/* urt_dial, and urt_tls_client with the host of that address. Errors of both. */
URT_API int urt_tls_dial(struct urt_tls *, const char *address, size_t size,
			 struct urt_stream **stream, int64_t deadline_ns);

/* Flushes and says close_notify: the other side reads the end of the stream,
 * and may go on writing. 0; -EINVAL: not of TLS; of urt_stream_flush. May
 * suspend. */
URT_API int urt_tls_shutdown(struct urt_stream *, int64_t deadline_ns);

/* As urt_stream_close, but the descriptor stays open: for those of urt_serve. */
URT_API int urt_tls_end(struct urt_stream *, int64_t deadline_ns);

/* The protocol that was agreed on by ALPN; "": none. Whether the session was
 * resumed. */
URT_API const char *urt_tls_protocol(const struct urt_stream *);
URT_API bool urt_tls_resumed(const struct urt_stream *);

/* Why the calling coroutine's (or thread's) last call of this header failed: one
 * line for people; never NULL. Valid until its next such call. */
URT_API const char *urt_tls_why(void);

#ifdef __cplusplus
}
#endif

#endif
