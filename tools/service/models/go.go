// SPDX-License-Identifier: MIT

// Model `go`: Go's net package; a goroutine per connection, whose stack holds
// the suspended request. The same handling as service/http.c.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	httpMax   = 4096
	httpMaxMs = 60000
	asks      = 3  // of a chain, and of a fan
	backends  = 4  // loopback addresses that the built-in backend listens on
	poolSize  = 64 // connections to Redis
)

var (
	backendPort string
	pool        chan net.Conn // connections to Redis that are free; nil: not open
	opened      uint32        // connections to the backend so far
	okText      = response("200 OK", "", "ok\n")
	okTellText  = response("200 OK", "Connection: keep-alive\r\n", "ok\n") // HTTP/1.0
	okCloseText = response("200 OK", closing, "ok\n")
	badText     = response("400 Bad Request", closing, "bad\n")
	missingText = response("404 Not Found", closing, "no such\n")
	largeText   = response("431 Request Header Fields Too Large", closing, "big\n")
)

var okTexts = [...][]byte{keep: okText, tellKeep: okTellText, closeIt: okCloseText}

const closing = "Connection: close\r\n"

func response(status, field, body string) []byte {
	return []byte(fmt.Sprintf("HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s",
		status, len(body), field, body))
}

// What becomes of the connection after the answer.
const (
	keep     = iota
	tellKeep // HTTP/1.0
	closeIt
)

func parseMs(s []byte) (int, bool) {
	for _, c := range s {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.Atoi(string(s))
	return n, err == nil && n <= httpMaxMs
}

var routes = [...]struct {
	path string
	kind byte
}{{"/wait?ms=", 'w'}, {"/chain?ms=", 'h'}, {"/fan?ms=", 'f'}, {"/cpu?ms=", 'c'}}

// kind is 0 for /, or the first letter of the path, but 'h' for /chain; bad is the answer to an error.
func parseLine(line []byte) (kind byte, ms, after int, bad []byte) {
	const method, version = "GET ", " HTTP/1.x"
	if len(line) <= len(method)+len(version) || !bytes.HasPrefix(line, []byte(method)) {
		return 0, 0, 0, badText
	}
	if bytes.HasSuffix(line, []byte(" HTTP/1.0")) {
		after = closeIt
	} else if !bytes.HasSuffix(line, []byte(" HTTP/1.1")) {
		return 0, 0, 0, badText
	}
	path := line[len(method) : len(line)-len(version)]
	if path[0] != '/' {
		return 0, 0, 0, badText
	}
	for _, c := range path {
		if c <= 0x20 || c >= 0x7f {
			return 0, 0, 0, badText
		}
	}
	if len(path) == 1 {
		return 0, 0, after, nil
	}
	for _, p := range routes {
		if bytes.HasPrefix(path, []byte(p.path)) {
			ms, ok := parseMs(path[len(p.path):])
			if !ok {
				return 0, 0, 0, badText
			}
			return p.kind, ms, after, nil
		}
	}
	return 0, 0, 0, missingText
}

func isToken(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// A request here has no body; what announces one is malformed.
func hasBody(name, value []byte) bool {
	if len(name) == 17 {
		return bytes.EqualFold(name, []byte("transfer-encoding"))
	}
	if len(name) != 14 || !bytes.EqualFold(name, []byte("content-length")) {
		return false
	}
	value = bytes.TrimLeft(value, " \t")
	return len(value) == 0 || len(bytes.TrimLeft(value, "0")) > 0
}

func lists(list []byte, word string) bool {
	for _, item := range bytes.Split(list, []byte(",")) {
		if bytes.EqualFold(bytes.Trim(item, " \t"), []byte(word)) {
			return true
		}
	}
	return false
}

// The fields between the request line and the empty line. "close" wins.
func fieldsAreGood(s []byte, after *int) bool {
	mustClose := false
	for len(s) > 0 {
		end := bytes.Index(s, []byte("\r\n"))
		line := s[:end]
		n := 0
		for n < len(line) && isToken(line[n]) {
			n++
		}
		if n == 0 || n == len(line) || line[n] != ':' || hasBody(line[:n], line[n+1:]) {
			return false
		}
		for _, c := range line[n+1:] {
			if c != '\t' && (c < 0x20 || c == 0x7f) {
				return false
			}
		}
		if bytes.EqualFold(line[:n], []byte("connection")) {
			mustClose = mustClose || lists(line[n+1:], "close")
			if *after == closeIt && lists(line[n+1:], "keep-alive") {
				*after = tellKeep
			}
		}
		s = s[end+2:]
	}
	if mustClose {
		*after = closeIt
	}
	return true
}

// head is a whole head, with its empty line.
func parse(head []byte) (kind byte, ms, after int, bad []byte) {
	line := bytes.Index(head, []byte("\r\n"))
	kind, ms, after, bad = parseLine(head[:line])
	if (bad == nil || bytes.Equal(bad, missingText)) && !fieldsAreGood(head[line+2:len(head)-2], &after) {
		bad = badText
	}
	return
}

// The same rounds as in service/http.c, counted once per ms of CPU.
func spin(x uint32, rounds int) uint32 {
	for ; rounds > 0; rounds-- {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
	}
	return x
}

var (
	roundsPerMs int
	sink        uint32 // so that the work is not optimised away
)

// CPU time of this thread. (Getrusage has it as of the last tick.)
func cpuTime() time.Duration {
	const threadCPUTime = 3 // CLOCK_THREAD_CPUTIME_ID
	var t syscall.Timespec
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, threadCPUTime, uintptr(unsafe.Pointer(&t)), 0)
	return time.Duration(t.Nano())
}

func calibrate() {
	const rounds = 500000
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	best := time.Hour
	for i := 0; i < 9; i++ {
		begin := cpuTime()
		atomic.StoreUint32(&sink, spin(atomic.LoadUint32(&sink)|1, rounds))
		if took := cpuTime() - begin; took > 0 && took < best {
			best = took
		}
	}
	roundsPerMs = rounds * int(time.Millisecond) / int(best)
}

func burn(ms int) {
	atomic.StoreUint32(&sink, spin(atomic.LoadUint32(&sink)|1, roundsPerMs*ms))
}

// What is to be sent to the backend, and how long its reply is.
func ask(buf []byte, ms int) ([]byte, int) {
	if pool == nil {
		return append(strconv.AppendInt(buf[:0], int64(ms), 10), '\n'), 3
	}
	value := strconv.Itoa(ms)
	key := "urt:" + value
	return append(buf[:0], fmt.Sprintf("*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n",
		len(key), key, len(value), value, len(key), key)...), 5 + 4 + len(value) + 2
}

func askOn(b *net.Conn, ms int) error {
	var err error
	var buf [96]byte
	if *b == nil {
		nth := 1 + atomic.AddUint32(&opened, 1)%backends
		if pool != nil {
			nth = 1
		}
		addr := fmt.Sprintf("127.0.0.%d:%s", nth, backendPort)
		if *b, err = net.Dial("tcp", addr); err != nil {
			return err
		}
	}
	text, n := ask(buf[:], ms)
	if _, err = (*b).Write(text); err != nil {
		return err
	}
	if _, err = io.ReadFull(*b, buf[:n]); err == nil && buf[0] == '-' {
		err = io.ErrUnexpectedEOF
	}
	return err
}

func askBackend(own *net.Conn, ms int) error {
	if pool == nil {
		return askOn(own, ms)
	}
	b := <-pool
	err := askOn(&b, ms)
	if err != nil && b != nil {
		b.Close()
		b = nil
	}
	pool <- b
	return err
}

// At once: a goroutine for each but the first.
func askAtOnce(own *[asks]net.Conn, ms int) error {
	done := make(chan error, asks-1)
	for i := 1; i < asks; i++ {
		go func(c *net.Conn) { done <- askOn(c, ms) }(&own[i])
	}
	err := askOn(&own[0], ms)
	for i := 1; i < asks; i++ {
		if e := <-done; e != nil {
			err = e
		}
	}
	return err
}

func askAll(own *[asks]net.Conn, kind byte, ms int) error {
	switch {
	case kind == 'f' && pool == nil:
		return askAtOnce(own, ms)
	case kind == 'f' || kind == 'h':
		for i := range own {
			if err := askBackend(&own[i], ms); err != nil {
				return err
			}
		}
	case kind == 'w':
		return askBackend(&own[0], ms)
	}
	return nil
}

// Drops what the client still sends: a close would reset the connection.
func refuse(c net.Conn, answer []byte) {
	c.Write(answer)
	c.(*net.TCPConn).CloseWrite()
	io.Copy(io.Discard, c)
}

func serve(c net.Conn) {
	var buf [httpMax]byte
	var own [asks]net.Conn // to the backend
	defer c.Close()
	defer func() {
		for _, b := range own {
			if b != nil {
				b.Close()
			}
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
					refuse(c, largeText)
					return
				}
				break
			}
			kind, ms, after, bad := parse(buf[:end+4])
			if bad != nil {
				refuse(c, bad)
				return
			}
			if askAll(&own, kind, ms) != nil {
				return
			}
			if kind == 'c' {
				burn(ms)
			}
			if _, err = c.Write(okTexts[after]); err != nil || after == closeIt {
				return
			}
			n = copy(buf[:], buf[end+4:n])
		}
	}
}

// How much memory the requests hold that are suspended now, when asked.
func tellMemory() {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR2)
	for range asked {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		fmt.Printf("heap=%d stack=%d\n", m.HeapAlloc, m.StackInuse)
	}
}

// How often goroutines were set running so far, when asked: the number of
// entries in the histogram of scheduling latencies, times 8, since the runtime
// follows one in 8 of a goroutine's ways to running (gTrackingPeriod, in
// runtime/proc.go: casgstatus). Going into a system call is none.
func tellSwitches() {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGHUP)
	sample := []metrics.Sample{{Name: "/sched/latencies:seconds"}}
	for range asked {
		var n uint64
		metrics.Read(sample)
		if sample[0].Value.Kind() == metrics.KindFloat64Histogram {
			for _, count := range sample[0].Value.Float64Histogram().Counts {
				n += count
			}
		}
		fmt.Printf("user=%d\n", 8*n)
	}
}

func main() {
	backendPort = os.Args[2]
	for _, arg := range os.Args[3:] {
		if arg == "redis" {
			pool = make(chan net.Conn, poolSize)
		}
	}
	for i := 0; i < cap(pool); i++ {
		pool <- nil
	}
	calibrate()
	l, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go tellMemory()
	go tellSwitches()
	for {
		c, err := l.Accept()
		if err != nil {
			if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
				time.Sleep(time.Millisecond)
			}
			continue
		}
		go serve(c)
	}
}
