// SPDX-License-Identifier: MIT

// The server of service/messages.c in Go. GOMAXPROCS sets the processors.
package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const page = 4096

func spin(x uint32, rounds int64) uint32 {
	for ; rounds > 0; rounds-- {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
	}
	return x
}

var (
	roundsPerMs int64
	sink        uint32 // so that the work is not optimised away
)

func calibrate() {
	const rounds = 200000
	best := time.Hour
	for i := 0; i < 9; i++ {
		begin := time.Now()
		atomic.StoreUint32(&sink, spin(atomic.LoadUint32(&sink)|1, rounds))
		if took := time.Since(begin); took < best {
			best = took
		}
	}
	roundsPerMs = rounds * int64(time.Millisecond) / int64(best)
}

func busy(ns int64) {
	rounds := roundsPerMs * ns / int64(time.Millisecond)
	atomic.StoreUint32(&sink, spin(atomic.LoadUint32(&sink)|1, rounds))
}

// The times of an answer, in ns.
type times [7]int64

var self, _ = os.Open("/proc/self/exe")

func reads(n uint32, t *times) {
	var buf [page]byte
	begin := time.Now()
	for i := 0; i < 1000; i++ {
		self.ReadAt(buf[:], 0)
	}
	t[0] = int64(time.Since(begin))
}

// Sleeps in the kernel, as a C library does, not in the runtime.
func kernelSleep(d time.Duration) {
	ts := syscall.NsecToTimespec(int64(d))
	for syscall.Nanosleep(&ts, &ts) == syscall.EINTR {
	}
}

func start(n uint32, fn func()) *sync.WaitGroup {
	var wg sync.WaitGroup
	for i := uint32(0); i < n; i++ {
		wg.Add(1)
		go func() {
			fn()
			wg.Done()
		}()
	}
	return &wg
}

func blocked(n uint32, t *times) {
	begin := time.Now()
	wg := start(n, func() { kernelSleep(100 * time.Millisecond) })
	time.Sleep(time.Millisecond)
	t[0] = int64(time.Since(begin))
	wg.Wait()
	t[1] = int64(time.Since(begin))
}

func fresh(n uint32, t *times) {
	wg := start(n, func() { busy(int64(30 * time.Millisecond)) })
	for i := 0; i < 20; i++ {
		begin := time.Now()
		time.Sleep(time.Millisecond)
		if took := int64(time.Since(begin)); took > t[0] {
			t[0] = took
		}
	}
	wg.Wait()
}

func faults(n uint32, t *times) {
	file, err := os.Open(os.Getenv("URT_BENCH_FILE"))
	if err != nil {
		return
	}
	defer file.Close()
	st, _ := file.Stat()
	m, err := syscall.Mmap(int(file.Fd()), 0, int(st.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return
	}
	defer syscall.Munmap(m)
	syscall.Madvise(m, syscall.MADV_RANDOM)
	var part, touched, over, left int64
	left = int64(n)
	each := int(st.Size()) / page / int(n)
	begin := time.Now()
	wg := start(n, func() {
		p, sum, seen := int(atomic.AddInt64(&part, 1)-1), uint32(0), int64(0)
		for i := 0; i < each && atomic.LoadInt64(&over) == 0; i++ {
			sum += uint32(m[(p*each+i*1031%each)*page])
			seen++
		}
		atomic.AddUint32(&sink, sum)
		atomic.AddInt64(&touched, seen)
		atomic.AddInt64(&left, -1)
	})
	var took []int64
	for last := begin; atomic.LoadInt64(&left) > 0 && time.Since(begin) < time.Second; {
		time.Sleep(time.Millisecond)
		now := time.Now()
		took = append(took, int64(now.Sub(last)))
		last = now
	}
	atomic.StoreInt64(&over, 1)
	wg.Wait()
	elapsed := time.Since(begin)
	sort.Slice(took, func(i, j int) bool { return took[i] < took[j] })
	if len(took) > 0 {
		t[0] = took[(len(took)-1)/2]
		t[1] = took[(len(took)-1)*99/100]
		t[2] = took[len(took)-1]
	}
	t[3] = touched * int64(time.Second) / int64(elapsed)
}

var calls, early int64

type pollFd struct {
	fd              int32
	events, revents int16
}

func blockOnce(how uint32) {
	if how%2 == 0 {
		kernelSleep(10 * time.Millisecond)
		return
	}
	var none pollFd
	syscall.Syscall(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&none)), 0,
		uintptr(unsafe.Pointer(&syscall.Timespec{Nsec: 10000000})))
}

func blockers(n uint32, t *times) {
	for i := uint32(0); i < n; i++ {
		go func() {
			for {
				begin := time.Now()
				blockOnce(i)
				atomic.AddInt64(&calls, 1)
				if time.Since(begin) < 9900*time.Microsecond {
					atomic.AddInt64(&early, 1)
				}
			}
		}()
	}
	t[0], t[1] = atomic.LoadInt64(&early), atomic.LoadInt64(&calls)
}

func echo(n uint32, t *times) { busy(int64(n)) }

var answers = []func(uint32, *times){echo, reads, blocked, fresh, faults, blockers}

func serve(c net.Conn) {
	defer c.Close()
	var buf [64]byte
	for {
		if _, err := io.ReadFull(c, buf[:]); err != nil {
			return
		}
		ask, n := binary.NativeEndian.Uint32(buf[:]), binary.NativeEndian.Uint32(buf[4:])
		if int(ask) >= len(answers) {
			return
		}
		var t times
		answers[ask](n, &t)
		for i, v := range t {
			binary.NativeEndian.PutUint64(buf[8+8*i:], uint64(v))
		}
		if _, err := c.Write(buf[:]); err != nil {
			return
		}
	}
}

func main() {
	calibrate()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("port", l.Addr().(*net.TCPAddr).Port)
	for {
		c, err := l.Accept()
		if err != nil {
			os.Exit(1)
		}
		go serve(c)
	}
}
