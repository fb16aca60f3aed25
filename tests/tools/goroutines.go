// SPDX-License-Identifier: MIT

// A program with known goroutines, for goroutines_test.c. When all of them wait,
// it prints what Go's own runtime tells of them, and a line "END". Then it waits in
// a system call for the end of its input.
package main

import (
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	never, other = make(chan int), make(chan int)
	mutex        sync.Mutex
	group        sync.WaitGroup
	count        atomic.Int64
	pipe         [2]int
	polled, kept *os.File
)

//go:noinline
func receives() { <-never; count.Add(1) }

//go:noinline
func selects() {
	select {
	case <-never:
	case <-other:
	}
	count.Add(1)
}

//go:noinline
func sleeps(deeper int) {
	if deeper > 0 {
		sleeps(deeper - 1)
	} else {
		time.Sleep(1000 * time.Hour)
	}
	count.Add(1)
}

//go:noinline
func locks() { mutex.Lock(); count.Add(1) }

//go:noinline
func joins() { group.Wait(); count.Add(1) }

//go:noinline
func reads() { syscall.Read(pipe[0], make([]byte, 1)); count.Add(1) }

//go:noinline
func polls() { polled.Read(make([]byte, 1)); count.Add(1) }

//go:noinline
func spins() {
	for {
		count.Add(1)
	}
}

//go:noinline
func start(n int, f func()) {
	for ; n > 0; n-- {
		go f()
	}
}

func stacks() string {
	text := make([]byte, 1<<20)
	return string(text[:runtime.Stack(text, true)])
}

func main() {
	polled, kept, _ = os.Pipe()
	syscall.Pipe(pipe[:])
	mutex.Lock()
	group.Add(1)
	start(50, receives)
	start(4, selects)
	for i := 0; i < 6; i++ {
		start(1, func() { sleeps(i) })
	}
	start(3, locks)
	start(2, joins)
	start(1, reads)
	start(1, polls)
	start(1, spins)
	ready := func(text string) bool { // all but this one and spins
		return strings.Count(text, " [running")+
			strings.Count(text, " [runnable") == 2
	}
	for !ready(stacks()) {
		time.Sleep(time.Millisecond)
	}
	runtime.GC()
	runtime.GC() // notes the time of the one before for those that wait
	os.Stdout.WriteString(stacks() + "\nEND\n")
	syscall.Read(0, make([]byte, 1))
}
