// SPDX-License-Identifier: MIT

// What the demo measures of Go without a server:
//
//	units sleep N   N goroutines that sleep at a time
//	units yield N   N switches between two goroutines, in five rounds
//
// Prints numbers as tools/demo/measure/parts.c does.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A field of /proc/self/status, the first number in it.
func status(field string) int {
	text, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, field) {
			n, _ := strconv.Atoi(strings.Fields(line)[1])
			return n
		}
	}
	return 0
}

func sleep(n int) {
	before := status("VmRSS:")
	begin := time.Now()
	for i := 0; i < n; i++ {
		go time.Sleep(time.Hour) // longer than the measurement
	}
	for runtime.NumGoroutine() < n {
		time.Sleep(time.Millisecond)
	}
	took := time.Since(begin)
	rss := (status("VmRSS:") - before) * 1024
	threads := status("Threads:")
	fmt.Printf("count=%d create_ns=%d rss=%d threads=%d\n", n, took.Nanoseconds(), rss, threads)
}

// ns for each switch.
func yieldOnce(n int) float64 {
	var done sync.WaitGroup
	begin := time.Now()
	for i := 0; i < 2; i++ {
		done.Add(1)
		go func() {
			for j := 0; j < n/2; j++ {
				runtime.Gosched()
			}
			done.Done()
		}()
	}
	done.Wait()
	return float64(time.Since(begin).Nanoseconds()) / float64(n)
}

func yield(n int) {
	var ns []string
	for round := 0; round < 5; round++ {
		ns = append(ns, fmt.Sprintf("%.3f", yieldOnce(n/5)))
	}
	fmt.Println("goroutine=" + strings.Join(ns, ","))
}

func main() {
	n, _ := strconv.Atoi(os.Args[2])
	if os.Args[1] == "sleep" {
		sleep(n)
	} else {
		yield(n)
	}
}
