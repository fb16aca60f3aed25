// SPDX-License-Identifier: MIT

// The micro-benchmarks of `urt bench` in Go: bench.go NAME N prints the ns of
// one operation, or a line for each figure; N: how many to try first. GOMAXPROCS sets the processors.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
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

func skynet(up chan int64, number, size int64) {
	if size == 1 {
		up <- number
		return
	}
	ch := make(chan int64)
	var sum int64
	for i := int64(0); i < 10; i++ {
		go skynet(ch, number+i*(size/10), size/10)
	}
	for i := 0; i < 10; i++ {
		sum += <-ch
	}
	up <- sum
}

func skynetAll(n int) float64 {
	up := make(chan int64)
	begin := time.Now()
	go skynet(up, 0, int64(n))
	if <-up != int64(n)*int64(n-1)/2 {
		os.Exit(1)
	}
	return float64(time.Since(begin).Nanoseconds())
}

// Resident memory and page tables, in bytes.
func memoryUsed() int64 {
	text, _ := os.ReadFile("/proc/self/status")
	var sum int64
	for _, line := range strings.Split(string(text), "\n") {
		f := strings.Fields(line)
		if len(f) > 1 && (f[0] == "VmRSS:" || f[0] == "VmPTE:") {
			kb, _ := strconv.ParseInt(f[1], 10, 64)
			sum += kb * 1024
		}
	}
	return sum
}

// Bytes, ns to start and ns to stop each of n parked goroutines.
func parkMany(n int) (float64, float64, float64) {
	var ready, gone sync.WaitGroup
	stop := make(chan int64)
	before := memoryUsed()
	begin := time.Now()
	ready.Add(n)
	gone.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			ready.Done()
			<-stop
			gone.Done()
		}()
	}
	ready.Wait()
	started := time.Now()
	time.Sleep(10 * time.Millisecond)
	bytes := memoryUsed() - before
	stopping := time.Now()
	close(stop)
	gone.Wait()
	each := func(d time.Duration) float64 {
		return float64(d.Nanoseconds()) / float64(n)
	}
	return float64(bytes) / float64(n), each(started.Sub(begin)),
		each(time.Since(stopping))
}

func echoClient(addr string, index int, out chan []time.Duration) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		os.Exit(1)
	}
	buf := make([]byte, 64)
	var latency []time.Duration
	time.Sleep(time.Duration(index%1000) * 200 * time.Microsecond)
	for i := 0; i < 5; i++ {
		begin := time.Now()
		c.Write(buf)
		io.ReadFull(c, buf)
		latency = append(latency, time.Since(begin))
		time.Sleep(200 * time.Millisecond)
	}
	c.Close()
	out <- latency
}

// The 99th percentile in ns of n echo connections beside a loop.
func echoHog(n int) float64 {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		os.Exit(1)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				buf := make([]byte, 64)
				for {
					k, err := c.Read(buf)
					if err != nil {
						c.Close()
						return
					}
					c.Write(buf[:k])
				}
			}()
		}
	}()
	out := make(chan []time.Duration)
	for i := 0; i < n; i++ {
		go echoClient(l.Addr().String(), i, out)
	}
	var over int32
	go func() {
		for over == 0 {
		}
	}()
	var all []time.Duration
	for i := 0; i < n; i++ {
		all = append(all, <-out...)
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	return float64(all[len(all)*99/100].Nanoseconds())
}

// Those that measure by themselves.
func figures(name string, n int) []float64 {
	switch name {
	case "skynet":
		return []float64{skynetAll(n)}
	case "parked":
		bytes, start, stop := parkMany(n)
		return []float64{bytes, start, stop}
	case "echo-hog":
		return []float64{echoHog(n)}
	}
	return nil
}

func main() {
	n, _ := strconv.Atoi(os.Args[2])
	if all := figures(os.Args[1], n); all != nil {
		for _, v := range all {
			fmt.Println(v)
		}
		return
	}
	run := map[string]func(int) int{
		"yield": yield, "chan-pingpong": pingpong, "spawn-join": spawnJoin,
		"spawn-batch": spawnBatch, "chan-buffered": buffered,
		"mutex-contended": mutex, "sleep": sleep,
	}[os.Args[1]]
	if run == nil {
		os.Exit(1)
	}
	// So many that they take some time; see bench.c.
	const full = 250 * time.Millisecond
	run(n) // warm-up
	for {
		begin := time.Now()
		done := run(n)
		spent := time.Since(begin)
		if spent >= full/2 {
			fmt.Println(float64(spent.Nanoseconds()) / float64(done))
			return
		}
		if spent < 10*time.Millisecond {
			n *= 4
		} else {
			n = int(float64(n) * float64(full) / float64(spent))
		}
	}
}
