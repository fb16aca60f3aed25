/* SPDX-License-Identifier: MIT */
/*
 * urt_tls.h - TLS for uring_rt, by OpenSSL 3: a library of its own,
 * liburing_rt_tls, with a .pc file of its own.
 *
 * A connection is a urt_stream (urt.h), with the same reads, writes, lines,
 * deadlines and cancellation. urt_stream_close sends close_notify and waits for
 * the other side's end before it closes the descriptor, since data that the
 * other side has not read yet could be lost otherwise. It waits for one second,
 * or, while the other side still takes data, up to the deadline. One coroutine
 * may read while another writes.
 *
 * No function of OpenSSL suspends: OpenSSL works on memory, and the runtime
 * sends and receives. So OpenSSL's thread-local data stay on their thread.
 *
 * The stack of a coroutine that makes a handshake should be 64 KiB or more (the
 * default is 128 KiB).
 *
 * A stream that ends without close_notify was cut short, perhaps by an
 * attacker: a read then returns -ECONNRESET instead of 0.
 *
 * With urt_tls_options.kernel, the kernel encrypts and decrypts what a
 * connection sends and receives (kTLS), as far as the kernel and OpenSSL can:
 * the kernel's module `tls`, a cipher of AES-GCM or ChaCha20-Poly1305, and for
 * receiving TLS 1.2, or OpenSSL 3.2. urt_tls_sendfile then copies nothing
 * through the program. It is off by default, because the kernel keeps its keys
 * for the whole connection: writes fail with -EPROTO after the other side has
 * asked for new keys (KeyUpdate); where the kernel receives, reads fail after
 * the other side has changed its own.
 *
 * Not supported: renegotiation, early data.
 */
#ifndef URT_TLS_H
#define URT_TLS_H

#include "urt.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ssl_st;
struct ssl_ctx_st;

/* The common settings of connections. Initialise with `{ 0 }`. */
struct urt_tls_options {
	const char *certificate; /* PEM file: own certificate, then the chain.
	                            A server needs one */
	const char *key;	 /* PEM file: its private key */
	const char
		*authorities; /* PEM file of trusted CAs. NULL: the system's */
	const char *const *protocols; /* ALPN, best first, ends with NULL; NULL:
	                                 none */
	bool verify_client; /* a server: clients must send a certificate */
	bool insecure;	    /* a client: accept any certificate for any name */
	bool kernel;	    /* the kernel encrypts, where it can (kTLS) */
};

/*
 * Reads the files and makes the context of a server or a client, for TLS 1.2
 * and 1.3. A client verifies the server's certificate and name, unless
 * `insecure` is set. Sessions are resumed: a server gives tickets, a client
 * keeps the last one of each of 64 names. From any thread, also without a run.
 * 0; -ENOMEM; -EINVAL: a file is missing or wrong, and urt_tls_why() names it.
 */
struct urt_tls;
URT_API int urt_tls_new(struct urt_tls **, const struct urt_tls_options *);
/* Frees the context, once its last connection is closed. NULL is allowed. */
URT_API void urt_tls_free(struct urt_tls *);

/* OpenSSL's own objects, for settings that this header lacks. Call
 * urt_tls_context before the first connection, and urt_tls_ssl (NULL: the
 * stream does not use TLS) while no other coroutine uses the stream. */
URT_API struct ssl_ctx_st *urt_tls_context(struct urt_tls *);
URT_API struct ssl_st *urt_tls_ssl(const struct urt_stream *);

/*
 * Makes the handshake on a connected socket; then *stream has buffers of `size`
 * bytes, as after urt_stream_new. name: the server's host name or IP address,
 * for SNI and verification. 0; -EPROTO: the handshake failed; -EACCES: this
 * side or the other refused the certificate; -ECONNRESET; -ETIME; -ECANCELED;
 * -ENOMEM; errors of send(2) and recv(2). urt_tls_why() gives the reason. After
 * an error the descriptor is still open and belongs to the caller. May suspend.
 */
URT_API int urt_tls_client(struct urt_tls *, int fd, const char *name,
			   size_t size, struct urt_stream **stream,
			   int64_t deadline_ns);
URT_API int urt_tls_server(struct urt_tls *, int fd, size_t size,
			   struct urt_stream **stream, int64_t deadline_ns);

/* urt_dial, then urt_tls_client with the host of that address. Errors: of both
 * calls. May suspend. */
URT_API int urt_tls_dial(struct urt_tls *, const char *address, size_t size,
			 struct urt_stream **stream, int64_t deadline_ns);

/* Flushes and sends close_notify: the other side reads the end of the stream
 * and may still write. 0; -EINVAL: the stream does not use TLS; errors of
 * urt_stream_flush. May suspend. */
URT_API int urt_tls_shutdown(struct urt_stream *, int64_t deadline_ns);

/* As urt_stream_close, but the descriptor stays open: for descriptors of
 * urt_serve. May suspend. */
URT_API int urt_tls_end(struct urt_stream *, int64_t deadline_ns);

/*
 * Flushes the stream, then sends from a file, as urt_sendfile: at *offset, which
 * moves by the bytes sent; all of len, or up to the end of the file. Returns the
 * bytes sent, or an error if there were none. -EINVAL: the stream does not use
 * TLS. May suspend.
 */
URT_API ssize_t urt_tls_sendfile(struct urt_stream *, int in, off_t *offset,
				 size_t len, int64_t deadline_ns);

/* Which directions of a connection the kernel handles (urt_tls_options.kernel):
 * the sum of these, or 0. Does not suspend. */
enum { URT_TLS_SENDS = 1, URT_TLS_RECEIVES = 2 };
URT_API int urt_tls_in_kernel(const struct urt_stream *);

/*
 * Asks for new keys in both directions (TLS 1.3, KeyUpdate): this side's are
 * used from the next write on. 0; -EINVAL: the stream does not use TLS 1.3;
 * -EOPNOTSUPP: the kernel sends, and keeps the old keys. Does not suspend.
 */
URT_API int urt_tls_update_keys(struct urt_stream *);

/* The protocol that ALPN chose ("": none), and whether the session was
 * resumed. */
URT_API const char *urt_tls_protocol(const struct urt_stream *);
URT_API bool urt_tls_resumed(const struct urt_stream *);

/* Why the calling coroutine's (or thread's) last call of this header failed:
 * one line of text, never NULL. Valid until its next such call. */
URT_API const char *urt_tls_why(void);

#ifdef __cplusplus
}
#endif

#endif
