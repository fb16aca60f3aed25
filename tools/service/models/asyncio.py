# SPDX-License-Identifier: MIT
"""Model `asyncio`: Python's own event loop; a task for each connection.

Where a suspended request lives: in the frames of its coroutine objects, on the
heap, resumed by the event loop. The same handling as service/http.c. With
"redis", the backend is Redis, to which all clients share some connections.

    asyncio.py PORT BACKEND_PORT [redis]
"""
import asyncio
import errno
import gc
import itertools
import re
import socket
import sys
import time

HTTP_MAX = 4096
HTTP_MAX_MS = 60000
ASKS = 3  # of a chain, and of a fan
BACKENDS = 4  # loopback addresses that the built-in backend listens on
POOL = 64  # connections to Redis


CLOSING = 'Connection: close\r\n'


def response(status, body, field=CLOSING):
    return (f'HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{field}\r\n{body}').encode()


OK = response('200 OK', 'ok\n', '')
OK_TELL = response('200 OK', 'ok\n', 'Connection: keep-alive\r\n')  # HTTP/1.0
OK_CLOSE = response('200 OK', 'ok\n')
BAD = response('400 Bad Request', 'bad\n')
NOT_FOUND = response('404 Not Found', 'no such\n')
TOO_LARGE = response('431 Request Header Fields Too Large', 'big\n')

HEAD = re.compile(
    rb"GET (/[\x21-\x7e]*) HTTP/1\.([01])\r\n"
    rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*\r\n")
BODY = re.compile(rb'\r\n(?:transfer-encoding:|content-length:(?![ \t]*0+\r\n))', re.I)
CONNECTION = re.compile(rb'\r\nconnection:([^\r]*)', re.I)
PATH = re.compile(rb'/(wait|chain|fan|cpu)\?ms=(.*)')

redis = 'redis' in sys.argv[3:]
backend_port = int(sys.argv[2])


# The same rounds as in service/http.c, counted once per ms of CPU.
def spin(rounds):
    x = 1
    for _ in range(rounds):
        x ^= (x << 13) & 0xffffffff
        x ^= x >> 17
        x ^= (x << 5) & 0xffffffff


def calibrate():
    rounds, best = 5000, float('inf')
    for _ in range(12):
        begin = time.process_time()
        spin(rounds)
        best = min(best, time.process_time() - begin)
    return rounds / (best * 1000)


def answer(head, old):
    """The answer, which says what becomes of the connection: "close" wins."""
    words = {word.strip().lower() for field in CONNECTION.findall(head)
             for word in field.split(b',')}
    if b'close' in words:
        return OK_CLOSE
    if not old:
        return OK
    return OK_TELL if b'keep-alive' in words else OK_CLOSE


def parse(head):
    """The answer, and which route with how many ms; None: at once."""
    m = HEAD.fullmatch(head)
    if not m or BODY.search(head):
        return BAD, None, 0
    ok = answer(head, m[2] == b'0')
    if m[1] == b'/':
        return ok, None, 0
    p = PATH.fullmatch(m[1])
    if not p:
        return NOT_FOUND, None, 0
    if not re.fullmatch(rb'[0-9]+', p[2]) or int(p[2]) > HTTP_MAX_MS:
        return BAD, None, 0
    return ok, p[1], int(p[2])


class Backend:
    """A connection to the backend: one request at a time."""

    nth = itertools.count()

    def __init__(self):
        self.reader = self.writer = None

    async def ask(self, ms):
        if not self.writer:
            host = '127.0.0.1' if redis else f'127.0.0.{1 + next(self.nth) % BACKENDS}'
            self.reader, self.writer = await asyncio.open_connection(host, backend_port)
        if redis:
            value, key = str(ms), f'urt:{ms}'
            self.writer.write(
                (f'*3\r\n$3\r\nSET\r\n${len(key)}\r\n{key}\r\n${len(value)}\r\n{value}\r\n'
                 f'*2\r\n$3\r\nGET\r\n${len(key)}\r\n{key}\r\n').encode())
            expected = 5 + 4 + len(value) + 2
        else:
            self.writer.write(b'%d\n' % ms)
            expected = 3
        if (await self.reader.readexactly(expected))[:1] == b'-':
            raise ConnectionError('Redis refused')

    def close(self):
        if self.writer:
            self.writer.close()
        self.writer = None


class Server:
    def __init__(self):
        self.rounds_per_ms = calibrate()
        self.tasks = set()  # the loop itself holds only weak references
        self.pool = asyncio.Queue()
        for _ in range(POOL):
            self.pool.put_nowait(Backend())

    async def ask_pooled(self, ms):
        backend = await self.pool.get()
        try:
            await backend.ask(ms)
        except BaseException:
            backend.close()
            raise
        finally:
            self.pool.put_nowait(backend)

    async def ask_all(self, own, route, ms):
        if route == b'fan' and not redis:
            await asyncio.gather(*(backend.ask(ms) for backend in own))
            return
        for backend in own[:1 if route == b'wait' else ASKS]:
            await (self.ask_pooled(ms) if redis else backend.ask(ms))

    async def requests(self, reader, writer, own):
        buf = b''
        while True:
            end = buf.find(b'\r\n\r\n')
            if len(buf) >= HTTP_MAX if end < 0 else end + 4 > HTTP_MAX:
                return TOO_LARGE
            if end < 0:
                more = await reader.read(HTTP_MAX - len(buf))
                if not more:
                    return None
                buf += more
                continue
            text, route, ms = parse(buf[:end + 4])
            buf = buf[end + 4:]
            if route == b'cpu':
                spin(round(self.rounds_per_ms * ms))
            elif route:
                await self.ask_all(own, route, ms)
            if text is not OK and text is not OK_TELL:
                return text
            writer.write(text)
            await writer.drain()

    async def connection(self, reader, writer):
        own = [Backend() for _ in range(ASKS)]
        task = asyncio.current_task()
        self.tasks.add(task)
        try:
            last = await self.requests(reader, writer, own)
            if last:
                writer.write(last)
                await writer.drain()
            if last and last is not OK_CLOSE:  # a close would reset it
                writer.write_eof()
                while await reader.read(HTTP_MAX):
                    pass
        except (OSError, EOFError):
            writer.transport.abort()
        finally:
            for backend in own:
                backend.close()
            writer.close()
            self.tasks.discard(task)


SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
said = set()


def failure(loop, context):
    """Of a lack of descriptors, the loop would tell with a traceback for each try."""
    exc = context.get('exception')
    if not isinstance(exc, OSError) or exc.errno not in SHORT:
        loop.default_exception_handler(context)
    elif exc.errno not in said:
        said.add(exc.errno)
        print(f'asyncio.py: connections wait: {exc.strerror}', file=sys.stderr)


async def main():
    server = Server()
    asyncio.get_running_loop().set_exception_handler(failure)
    gc.freeze()
    sock = socket.create_server(('127.0.0.1', int(sys.argv[1])))
    # The loop tries as many accepts at a time as its backlog says, also when
    # no descriptor is left.
    listening = await asyncio.start_server(
        server.connection, sock=sock, limit=HTTP_MAX, backlog=16)
    sock.listen(4096)
    await listening.serve_forever()


asyncio.run(main())
