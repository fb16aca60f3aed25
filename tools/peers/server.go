// SPDX-License-Identifier: MIT

// Model `go`: Go's net package; a goroutine per connection, whose stack holds
// the suspended request. The same handling as models/http.c.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"
)

const (
	httpMax   = 4096
	httpMaxMs = 60000
)

var (
	backendAddr string
	okText      = response("200 OK", "ok\n")
	badText     = response("400 Bad Request", "bad\n")
	missingText = response("404 Not Found", "no such\n")
	largeText   = response("431 Request Header Fields Too Large", "big\n")
)

func response(status, body string) []byte {
	return []byte(fmt.Sprintf("HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s",
		status, len(body), body))
}

func parseMs(s []byte) (int, bool) {
	for _, c := range s {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.Atoi(string(s))
	return n, err == nil && n <= httpMaxMs
}

// kind is 0 for /, 'w' for /wait, 'c' for /cpu; bad is the answer to an error.
func parseLine(line []byte) (kind byte, ms int, bad []byte) {
	line, ok := bytes.CutPrefix(line, []byte("GET "))
	path, found := bytes.CutSuffix(line, []byte(" HTTP/1.1"))
	if !ok || !found || len(path) == 0 || path[0] != '/' ||
		bytes.IndexByte(path, ' ') >= 0 {
		return 0, 0, badText
	}
	if len(path) == 1 {
		return 0, 0, nil
	}
	for _, p := range []string{"/wait?ms=", "/cpu?ms="} {
		if rest, ok := bytes.CutPrefix(path, []byte(p)); ok {
			if ms, ok = parseMs(rest); !ok {
				return 0, 0, badText
			}
			return p[1], ms, nil
		}
	}
	return 0, 0, missingText
}

func burn(ms int) {
	for until := time.Now().Add(time.Duration(ms) * time.Millisecond); time.Now().Before(until); {
	}
}

func askBackend(b *net.Conn, ms int) error {
	var err error
	var buf [16]byte
	if *b == nil {
		if *b, err = net.Dial("tcp", backendAddr); err != nil {
			return err
		}
	}
	if _, err = (*b).Write(append(strconv.AppendInt(buf[:0], int64(ms), 10), '\n')); err != nil {
		return err
	}
	_, err = io.ReadFull(*b, buf[:3])
	return err
}

func serve(c net.Conn) {
	var buf [httpMax]byte
	var backend net.Conn
	defer c.Close()
	defer func() {
		if backend != nil {
			backend.Close()
		}
	}()
	n := 0
	for {
		got, err := c.Read(buf[n:])
		if err != nil {
			return
		}
		n += got
		for {
			end := bytes.Index(buf[:n], []byte("\r\n\r\n"))
			if end < 0 {
				if n == len(buf) {
					c.Write(largeText)
					return
				}
				break
			}
			kind, ms, bad := parseLine(buf[:bytes.Index(buf[:n], []byte("\r\n"))])
			if bad != nil {
				c.Write(bad)
				return
			}
			if kind == 'w' && askBackend(&backend, ms) != nil {
				return
			}
			if kind == 'c' {
				burn(ms)
			}
			if _, err = c.Write(okText); err != nil {
				return
			}
			n = copy(buf[:], buf[end+4:n])
		}
	}
}

func main() {
	backendAddr = "127.0.0.1:" + os.Args[2]
	l, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			if ne, ok := err.(*net.OpError); ok && (ne.Err == syscall.EMFILE) {
				time.Sleep(time.Millisecond)
			}
			continue
		}
		go serve(c)
	}
}
