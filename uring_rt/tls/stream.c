// SPDX-License-Identifier: MIT
/*
 * A TLS connection as a stream.
 *
 * OpenSSL reads and writes memory, by a BIO of our own: what the socket gave
 * (`in`, a buffer that the ring lends, so that a connection that waits holds
 * none) and what is to be sent (`out`). Between its calls this file receives
 * and sends. So no function of OpenSSL suspends, and its error queue, read
 * after the call that filled it, is that of the thread.
 *
 * Invariants:
 *   L1  `lock` is held around each call of OpenSSL with this SSL, which cannot
 *       be used by two threads, and around `in` and `out`. It is a pthread
 *       mutex and never held across a suspension.
 *   L2  Only the reader receives, when `in` is empty, and gives the new `in` to
 *       OpenSSL under `lock`. Without renegotiation SSL_write never reads.
 *   L3  Only the holder of `sending` sends: first the rest of `wire`, then what
 *       has come to be in `out`, which becomes `wire`. So what one call of
 *       OpenSSL made goes out before what the next one made, and a send that a
 *       deadline ended continues where it stopped.
 *   L4  The reader never waits to send: the other side may be waiting for it to
 *       read. Output of its call (an answer to KeyUpdate, an alert) goes out at
 *       once if possible, otherwise with the next write.
 *
 * A write is accepted when it has been encrypted. If it cannot be sent, the
 * call says how much was accepted all the same; the next call, or a flush,
 * returns the error.
 */
#define _GNU_SOURCE
#include "tls.h"
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#define OUT_SIZE  4096 /* bytes at the least */
#define LINGER_NS INT64_C(1000000000)
#define RECORD	  16384 /* bytes of plain text in a record, RFC 8446, 5.1 */

struct bytes {
	char *data;
	size_t begin, end, size;
};

struct connection {
	int fd;
	SSL *ssl;
	bool ended; /* the socket gave its end */
	struct bytes in, out, wire;
	pthread_mutex_t lock;
	struct urt_mutex sending;
	char name[URT__TLS_NAME];     /* a client's; "" */
	char protocol[URT__TLS_NAME]; /* ALPN's; "" */
};

/* ---- the BIO ----------------------------------------------------------- */

static int bio_read(BIO *bio, char *to, int len)
{
	struct connection *c = BIO_get_data(bio);
	size_t have = c->in.end - c->in.begin;

	BIO_clear_retry_flags(bio);
	if (!have) {
		if (!c->ended)
			BIO_set_retry_read(bio);
		return c->ended ? 0 : -1;
	}
	if ((size_t)len > have)
		len = have;
	memcpy(to, c->in.data + c->in.begin, len);
	c->in.begin += len;
	if (c->in.begin == c->in.end) {
		urt_lent_return(c->in.data);
		c->in = (struct bytes){ 0 };
	}
	return len;
}

static bool make_room(struct bytes *b, size_t len)
{
	size_t size = b->size ? b->size : OUT_SIZE;
	char *data;

	while (size - b->end < len)
		size *= 2;
	if (size == b->size)
		return true;
	data = realloc(b->data, size);
	if (!data)
		return false;
	b->data = data;
	b->size = size;
	return true;
}

static int bio_write(BIO *bio, const char *from, int len)
{
	struct connection *c = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (len <= 0 || !make_room(&c->out, len))
		return -1;
	memcpy(c->out.data + c->out.end, from, len);
	c->out.end += len;
	return len;
}

static long bio_ctrl(BIO *bio, int command, long n, void *arg)
{
	struct connection *c = BIO_get_data(bio);

	(void)n, (void)arg;
	if (command == BIO_CTRL_FLUSH)
		return 1;
	return command == BIO_CTRL_EOF && c->ended;
}

static BIO_METHOD *method;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_method(void)
{
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK,
			      "uring_rt");
	if (!method)
		return;
	BIO_meth_set_read(method, bio_read);
	BIO_meth_set_write(method, bio_write);
	BIO_meth_set_ctrl(method, bio_ctrl);
}

/* ---- sending and receiving --------------------------------------------- */

/* Output since then: with `sending`. False: nothing. */
static bool take_out(struct connection *c)
{
	pthread_mutex_lock(&c->lock);
	free(c->wire.data);
	c->wire = c->out;
	c->out = (struct bytes){ 0 };
	pthread_mutex_unlock(&c->lock);
	return c->wire.end;
}

static int send_all(struct connection *c, int64_t deadline_ns)
{
	int err = urt_mutex_lock(&c->sending, deadline_ns);
	struct bytes *b = &c->wire;
	ssize_t n = 0;

	if (err)
		return err;
	do {
		while (n >= 0 && b->begin < b->end) {
			n = urt_send(c->fd, b->data + b->begin,
				     b->end - b->begin, MSG_NOSIGNAL,
				     deadline_ns);
			b->begin += n > 0 ? n : 0;
		}
	} while (n >= 0 && take_out(c));
	urt_mutex_unlock(&c->sending);
	return n < 0 ? (int)n : 0;
}

/* One piece into `in`, which is empty. */
static int receive(struct connection *c, int64_t deadline_ns)
{
	void *data = NULL;
	ssize_t n = urt_recv_lent(c->fd, &data, 0, deadline_ns);

	if (n < 0)
		return n;
	pthread_mutex_lock(&c->lock);
	if (n)
		c->in = (struct bytes){ .data = data, .end = n };
	else
		c->ended = true;
	pthread_mutex_unlock(&c->lock);
	if (!n)
		urt_lent_return(data);
	return 0;
}

/* ---- OpenSSL's calls --------------------------------------------------- */

enum call { HANDSHAKE, READ, WRITE, SHUTDOWN };

/* Why it failed: SSL_ERROR_SSL or _SYSCALL; the error queue is still there. */
static int because(struct connection *c)
{
	int reason = ERR_GET_REASON(ERR_peek_last_error());
	long verified = SSL_get_verify_result(c->ssl);

	if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
		ERR_clear_error();
		return urt__tls_because(
			-EACCES, X509_verify_cert_error_string(verified));
	}
	if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE ||
	    (reason >= SSL_R_SSLV3_ALERT_NO_CERTIFICATE &&
	     reason <= SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN) ||
	    reason == SSL_R_TLSV1_ALERT_UNKNOWN_CA ||
	    reason == SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED)
		return urt__tls_because(-EACCES, "certificate refused");
	if (c->ended)
		return urt__tls_because(-ECONNRESET,
					"the connection was cut short");
	return urt__tls_because(-EPROTO, "TLS");
}

/* One call. > 0: its result; 0: the end; -EAGAIN: it needs to receive. */
static int call_once(struct connection *c, enum call call, void *buf,
		     size_t len)
{
	int ret, err;

	ERR_clear_error();
	switch (call) {
	case HANDSHAKE:
		ret = SSL_do_handshake(c->ssl);
		break;
	case READ:
		ret = SSL_read(c->ssl, buf, len);
		break;
	case WRITE:
		ret = SSL_write(c->ssl, buf, len);
		break;
	default: /* once, and 0: the other side has not said it yet */
		if (SSL_in_init(c->ssl)) /* new keys, not yet sent */
			SSL_do_handshake(c->ssl);
		ret = SSL_get_shutdown(c->ssl) & SSL_SENT_SHUTDOWN ||
				      SSL_shutdown(c->ssl) >= 0
			      ? 1
			      : -1;
	}
	if (ret > 0)
		return ret;
	err = SSL_get_error(c->ssl, ret);
	if (err == SSL_ERROR_ZERO_RETURN)
		return 0;
	return err == SSL_ERROR_WANT_READ ? -EAGAIN : because(c);
}

static int call_locked(struct connection *c, enum call call, void *buf,
		       size_t len, bool *made)
{
	size_t before;
	int ret;

	pthread_mutex_lock(&c->lock);
	before = c->out.end;
	ret = call_once(c, call, buf, len);
	*made = c->out.end > before;
	pthread_mutex_unlock(&c->lock);
	return ret;
}

/*
 * The call, again and again until it is done. Its output is sent even if it
 * failed, since the alert tells the other side why.
 */
static int call_until(struct connection *c, enum call call, void *buf,
		      size_t len, int64_t deadline_ns)
{
	bool made = false;
	int ret, err;

	for (;;) {
		ret = call_locked(c, call, buf, len, &made);
		err = made ? send_all(c, call == READ ? 0 : deadline_ns) : 0;
		if (call == READ)
			err = 0;
		if (ret != -EAGAIN) /* a handshake has to arrive */
			return call == HANDSHAKE && ret > 0 && err ? err : ret;
		if (!err)
			err = receive(c, deadline_ns);
		if (err)
			return err;
	}
}

/* ---- the stream -------------------------------------------------------- */

static ssize_t tls_read(void *self, void *buf, size_t len, int64_t deadline_ns)
{
	if (len > INT32_MAX)
		len = INT32_MAX;
	return call_until(self, READ, buf, len, deadline_ns);
}

static ssize_t tls_write(void *self, const void *buf, size_t len,
			 int64_t deadline_ns)
{
	size_t done = 0;
	int ret = send_all(self, deadline_ns); /* what was left */
	bool made;

	/* Some records at a time go out in one send. */
	while (ret >= 0 && done < len && done < 4 * RECORD) {
		size_t n = len - done < RECORD ? len - done : RECORD;

		ret = call_locked(self, WRITE, (char *)buf + done, n, &made);
		if (ret > 0)
			done += ret;
	}
	if (!done)
		return ret;
	send_all(self, deadline_ns);
	return done;
}

static int tls_flush(void *self, int64_t deadline_ns)
{
	return send_all(self, deadline_ns);
}

static int say_end(struct connection *c, int64_t deadline_ns)
{
	int ret = call_until(c, SHUTDOWN, NULL, 0, deadline_ns);

	return ret < 0 ? ret : send_all(c, deadline_ns);
}

/*
 * A socket that is closed with something unread sends a reset, which drops what
 * the other side has not read yet. With TLS 1.3 there often is: a server's
 * tickets, an answer to new keys. So the end is waited for, for a while.
 */
static void linger(struct connection *c, int64_t deadline_ns)
{
	int64_t enough_ns = urt_after(LINGER_NS);
	char b[1024];

	if (c->ended || SSL_get_shutdown(c->ssl) & SSL_RECEIVED_SHUTDOWN)
		return;
	if (deadline_ns > enough_ns)
		deadline_ns = enough_ns;
	if (!urt_shutdown(c->fd, SHUT_WR, deadline_ns))
		while (urt_recv(c->fd, b, sizeof(b), 0, deadline_ns) > 0)
			;
}

static int end(struct connection *c, int64_t deadline_ns)
{
	int ret = say_end(c, deadline_ns);

	if (!ret)
		linger(c, deadline_ns);
	/* All written data have been flushed; the other side may be gone. */
	return ret == -EPIPE || ret == -ECONNRESET ? 0 : ret;
}

static int tls_close(void *self, int64_t deadline_ns)
{
	struct connection *c = self;
	int ret = end(c, deadline_ns);

	urt_close(c->fd);
	return ret;
}

static void tls_free(void *self)
{
	struct connection *c = self;

	SSL_free(c->ssl);
	pthread_mutex_destroy(&c->lock);
	urt_lent_return(c->in.data);
	free(c->out.data);
	free(c->wire.data);
	free(c);
}

static const struct urt_stream_io io = { .read = tls_read,
					 .write = tls_write,
					 .flush = tls_flush,
					 .close = tls_close,
					 .free = tls_free };

static struct connection *connection_new(struct urt_tls *t, int fd)
{
	struct connection *c = calloc(1, sizeof(*c));
	BIO *bio;

	pthread_once(&once, make_method);
	if (!c)
		return NULL;
	pthread_mutex_init(&c->lock, NULL);
	c->fd = fd;
	c->ssl = SSL_new(t->ctx);
	bio = method ? BIO_new(method) : NULL;
	if (!c->ssl || !bio) {
		BIO_free(bio);
		tls_free(c);
		return NULL;
	}
	BIO_set_data(bio, c);
	BIO_set_init(bio, 1);
	SSL_set_bio(c->ssl, bio, bio);
	return c;
}

/* Whom a client wants: a name has SNI, and an IP address has none. */
static int want_name(struct urt_tls *t, struct connection *c, const char *name)
{
	X509_VERIFY_PARAM *p = SSL_get0_param(c->ssl);
	SSL_SESSION *session;

	if (strlen(name) >= sizeof(c->name))
		return urt__tls_because(-EINVAL, "a name over 255 bytes");
	strcpy(c->name, name);
	if (X509_VERIFY_PARAM_set1_ip_asc(p, name) != 1) {
		ERR_clear_error();
		if (SSL_set_tlsext_host_name(c->ssl, name) != 1 ||
		    SSL_set1_host(c->ssl, name) != 1)
			return urt__tls_because(-EINVAL, "the name");
	}
	SSL_set_ex_data(c->ssl, urt__tls_name_index, c->name);
	session = urt__tls_session(t, name);
	if (session)
		SSL_set_session(c->ssl, session);
	SSL_SESSION_free(session);
	return 0;
}

static void know_protocol(struct connection *c)
{
	const unsigned char *name;
	unsigned len;

	SSL_get0_alpn_selected(c->ssl, &name, &len);
	if (len)
		memcpy(c->protocol, name, len);
}

static int handshake(struct connection *c, size_t size,
		     struct urt_stream **stream, int64_t deadline_ns)
{
	int ret = call_until(c, HANDSHAKE, NULL, 0, deadline_ns);

	if (ret > 0) {
		know_protocol(c);
		*stream = urt_stream_over(&io, c, size);
		if (*stream)
			return 0;
		ret = urt__tls_because(-ENOMEM, "out of memory");
	}
	tls_free(c);
	return ret ? ret
		   : urt__tls_because(-ECONNRESET,
				      "the other side ended the handshake");
}

int urt_tls_client(struct urt_tls *t, int fd, const char *name, size_t size,
		   struct urt_stream **stream, int64_t deadline_ns)
{
	struct connection *c = connection_new(t, fd);
	int err;

	if (!c)
		return urt__tls_because(-ENOMEM, "out of memory");
	SSL_set_connect_state(c->ssl);
	err = want_name(t, c, name);
	if (err) {
		tls_free(c);
		return err;
	}
	return handshake(c, size, stream, deadline_ns);
}

int urt_tls_server(struct urt_tls *t, int fd, size_t size,
		   struct urt_stream **stream, int64_t deadline_ns)
{
	struct connection *c = connection_new(t, fd);

	if (!c)
		return urt__tls_because(-ENOMEM, "out of memory");
	SSL_set_accept_state(c->ssl);
	if (!(SSL_get_verify_mode(c->ssl) & SSL_VERIFY_FAIL_IF_NO_PEER_CERT))
		SSL_set_verify(c->ssl, SSL_VERIFY_NONE, NULL);
	return handshake(c, size, stream, deadline_ns);
}

/* The host of "tcp:[::1]:443" and its like, without the rest. */
static int host_of(const char *address, char name[URT__TLS_NAME])
{
	const char *end = strrchr(address, ':');
	size_t len;

	if (!strncmp(address, "tcp:", 4))
		address += 4;
	if (!end || end <= address)
		return urt__tls_because(-EINVAL, "an address without a host");
	if (*address == '[') {
		address++;
		end--;
	}
	len = strcspn(address, "%");
	if (address + len > end)
		len = end - address;
	if (len >= URT__TLS_NAME)
		return urt__tls_because(-EINVAL, "a name over 255 bytes");
	memcpy(name, address, len);
	name[len] = '\0';
	return 0;
}

int urt_tls_dial(struct urt_tls *t, const char *address, size_t size,
		 struct urt_stream **stream, int64_t deadline_ns)
{
	char name[URT__TLS_NAME];
	int err = host_of(address, name), fd;

	if (err)
		return err;
	fd = urt_dial(address, deadline_ns);
	if (fd < 0)
		return urt__tls_because(fd, "dialling");
	err = urt_tls_client(t, fd, name, size, stream, deadline_ns);
	if (err)
		urt_close(fd);
	return err;
}

int urt_tls_shutdown(struct urt_stream *s, int64_t deadline_ns)
{
	struct connection *c = urt_stream_self(s, &io);
	int err = c ? urt_stream_flush(s, deadline_ns) : -EINVAL;

	return err ? err : say_end(c, deadline_ns);
}

int urt_tls_end(struct urt_stream *s, int64_t deadline_ns)
{
	struct connection *c = urt_stream_self(s, &io);
	int err = c ? urt_stream_flush(s, deadline_ns) : -EINVAL, ended;

	if (!c)
		return err;
	ended = end(c, deadline_ns);
	urt_stream_free(s);
	return err ? err : ended;
}

struct ssl_st *urt_tls_ssl(const struct urt_stream *s)
{
	const struct connection *c = urt_stream_self(s, &io);

	return c ? c->ssl : NULL;
}

const char *urt_tls_protocol(const struct urt_stream *s)
{
	const struct connection *c = urt_stream_self(s, &io);

	return c ? c->protocol : "";
}

bool urt_tls_resumed(const struct urt_stream *s)
{
	SSL *ssl = urt_tls_ssl(s);

	return ssl && SSL_session_reused(ssl);
}
