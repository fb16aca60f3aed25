// SPDX-License-Identifier: MIT

// The benchmarks of `urt bench` in Go: bench.go NAME N prints the ns of one
// operation. GOMAXPROCS sets the processors.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"
)

func yield(n int) int {
	var wg sync.WaitGroup
	for i := 0; i < 2; i++ {
		wg.Add(1)
		go func() {
			for j := 0; j < n/2; j++ {
				runtime.Gosched()
			}
			wg.Done()
		}()
	}
	wg.Wait()
	return n
}

func pingpong(n int) int {
	a, b := make(chan int64), make(chan int64)
	go func() {
		for v := range a {
			b <- v + 1
		}
	}()
	for i := 0; i < n; i++ {
		a <- int64(i)
		<-b
	}
	close(a)
	return n
}

func spawnJoin(n int) int {
	for i := 0; i < n; i++ {
		done := make(chan struct{})
		go func() { close(done) }()
		<-done
	}
	return n
}

func spawnBatch(n int) int {
	for i := 0; i < n/1000; i++ {
		var wg sync.WaitGroup
		wg.Add(1000)
		for j := 0; j < 1000; j++ {
			go wg.Done()
		}
		wg.Wait()
	}
	return n / 1000 * 1000
}

func buffered(n int) int {
	c := make(chan int64, 128)
	go func() {
		for i := 0; i < n; i++ {
			c <- int64(i)
		}
		close(c)
	}()
	for range c {
	}
	return n
}

func mutex(n int) int {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := 0; i < 64; i++ {
		wg.Add(1)
		go func() {
			for j := 0; j < n/64; j++ {
				mu.Lock()
				mu.Unlock()
			}
			wg.Done()
		}()
	}
	wg.Wait()
	return n / 64 * 64
}

func sleep(n int) int {
	const coroutines = 100000
	var wg sync.WaitGroup
	wg.Add(coroutines)
	for i := 0; i < coroutines; i++ {
		go func() {
			for j := 0; j < n/coroutines; j++ {
				time.Sleep(time.Millisecond)
			}
			wg.Done()
		}()
	}
	wg.Wait()
	return n / coroutines * coroutines
}

func main() {
	n, _ := strconv.Atoi(os.Args[2])
	run := map[string]func(int) int{
		"yield": yield, "chan-pingpong": pingpong, "spawn-join": spawnJoin,
		"spawn-batch": spawnBatch, "chan-buffered": buffered,
		"mutex-contended": mutex, "sleep": sleep,
	}[os.Args[1]]
	if run == nil {
		os.Exit(1)
	}
	run(n / 10) // warm-up
	begin := time.Now()
	n = run(n)
	fmt.Println(float64(time.Since(begin).Nanoseconds()) / float64(n))
}
