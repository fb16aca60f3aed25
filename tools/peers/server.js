// SPDX-License-Identifier: MIT
// Model `node`: Node's net module; a promise continuation per suspended
// request, on the heap, continued by the event loop. The same handling as
// models/http.c.
'use strict';
const net = require('net');

const [port, backendPort] = process.argv.slice(2).map(Number);
const HTTP_MAX = 4096;
const HTTP_MAX_MS = 60000;

const response = (status, body) =>
  Buffer.from(`HTTP/1.1 ${status}\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
const OK = response('200 OK', 'ok\n');
const BAD = response('400 Bad Request', 'bad\n');
const NOT_FOUND = response('404 Not Found', 'no such\n');
const TOO_LARGE = response('431 Request Header Fields Too Large', 'big\n');

function parseLine(line) {
  const m = /^GET (\/[^ ]*) HTTP\/1\.1$/.exec(line);
  if (!m) return { error: BAD };
  if (m[1] === '/') return {};
  const p = /^\/(wait|cpu)\?ms=(.*)$/.exec(m[1]);
  if (!p) return { error: NOT_FOUND };
  if (!/^[0-9]+$/.test(p[2]) || Number(p[2]) > HTTP_MAX_MS) return { error: BAD };
  return { [p[1]]: Number(p[2]) };
}

function burn(ms) {
  const begin = process.cpuUsage();
  for (;;) {
    const used = process.cpuUsage(begin);
    if (used.user + used.system >= ms * 1000) return;
  }
}

// A connection to the backend: one request at a time.
class Backend {
  constructor() {
    this.socket = net.connect({ port: backendPort, host: '127.0.0.1', noDelay: true });
    this.socket.on('data', (chunk) => {
      this.got += chunk.length;
      if (this.got >= 3) this.resolve();
    });
    this.socket.on('error', () => {});
    this.socket.on('close', () => this.reject && this.reject(new Error('closed')));
  }

  ask(ms) {
    this.got = 0;
    this.socket.write(`${ms}\n`);
    return new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }
}

net.createServer({ noDelay: true }, (socket) => {
  let buf = null;
  let busy = false;
  let backend = null;

  async function serve() {
    busy = true;
    while (buf) {
      const end = buf.indexOf('\r\n\r\n');
      if (end < 0) {
        if (buf.length >= HTTP_MAX) socket.end(TOO_LARGE);
        break;
      }
      const req = parseLine(buf.latin1Slice(0, buf.indexOf('\r\n')));
      buf = end + 4 < buf.length ? buf.subarray(end + 4) : null;
      if (req.error) {
        socket.end(req.error);
        return;
      }
      if (req.wait !== undefined) {
        backend ??= new Backend();
        await backend.ask(req.wait);
      }
      if (req.cpu) burn(req.cpu);
      socket.write(OK);
    }
    busy = false;
  }

  socket.on('data', (chunk) => {
    buf = buf ? Buffer.concat([buf, chunk]) : chunk;
    if (!busy) serve().catch(() => socket.destroy());
  });
  socket.on('error', () => {});
  socket.on('close', () => backend && backend.socket.destroy());
}).listen({ port, host: '127.0.0.1', backlog: 4096 });
