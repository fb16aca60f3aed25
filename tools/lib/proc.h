/* SPDX-License-Identifier: MIT */
/* Reading the small text files of /proc and /sys; no other file does. */
#ifndef URT_PROC_H
#define URT_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* The next line, without its end; what does not fit is dropped, so that no part of a
 * long path is taken for a line. NULL: there is no more, or f is NULL. */
char *proc_next_line(FILE *f, char *buf, size_t size);

/* The first line of a file, without its end. False: there is none. */
bool proc_line(const char *path, char *buf, size_t size);

/*
 * The text after `field` in the first line that begins with it ("VmRSS:"),
 * without the blanks before it. False: there is no such line, and buf is "".
 */
bool proc_field(const char *path, const char *field, char *buf, size_t size);

/* The number at the beginning of a file, or after the field, in base 10 or 16;
 * `otherwise` if there is none. */
long proc_number(const char *path, long otherwise);
long proc_field_number(const char *path, const char *field, int base,
		       long otherwise);

/* The number by which a process or thread knows itself, in a container; from its
 * /proc/.../status. -1: none. */
pid_t proc_own_number(const char *status);

/* The same of /proc/PID/status and /proc/meminfo (in bytes); 0: none. */
long proc_status(pid_t pid, const char *field);
long proc_meminfo(const char *field);

/* Whether a line of the file contains the words. */
bool proc_has(const char *path, const char *what);

/* Lines in the file; 0: it cannot be read. */
long proc_lines(const char *path);

/* The children of a process's main thread, up to max. Returns their number. */
unsigned proc_children(pid_t pid, pid_t *children, unsigned max);

/*
 * Switches of a process's threads, over all looks at it. /proc forgets a thread
 * that has ended; here its last known counts stay in the sums, so these never
 * fall. All zero before the first look.
 */
struct proc_switches {
	uint64_t voluntary, involuntary;
	struct proc_thread *thread; /* of the last look, in /proc's order */
	unsigned threads;
};

/* `alone`: of the one thread. False: the process is gone, or there is no memory. */
bool proc_switches_look(struct proc_switches *, pid_t, bool alone);
void proc_switches_free(struct proc_switches *);

/* False: /proc is that of another PID namespace, where our numbers are other processes'. */
bool proc_is_ours(void);

/* Whether /sys is mounted: without it there is neither BTF, nor a cgroup, nor
 * tracefs. */
bool sysfs_is_mounted(void);

/* A short file as a string. False: it is empty or missing. Of other users' processes,
 * remote_text in measure/remote.h reads `stat` and `io`. */
bool proc_text(const char *path, char *text, size_t size);

/* CPU time of a process or thread from its beginning, in the text of its `stat`. */
bool proc_cpu(const char *stat, int64_t *user_ns, int64_t *system_ns);

/* Where the code of the process's program ends, and where its stack begins, in the same
 * text. They are 1 and 0 if we may not see them. */
bool proc_program(const char *stat, uint64_t *end_code, uint64_t *start_stack);

/* Calls of read(2), write(2) and similar ones (readv, pread, sendfile, ...)
 * that the process or thread has made, without recv(2), send(2) and requests of
 * io_uring, in the text of its `io`. */
bool proc_transfers(const char *io, int64_t *reads, int64_t *writes);

/* CPU seconds for which the whole machine has been busy, on all CPUs, with
 * interrupts and steal (other guests of the host); NaN: unknown. */
double proc_busy_s(void);

/* The same for a cgroup, by its directory. */
bool cgroup_cpu(const char *directory, int64_t *user_ns, int64_t *system_ns);

#endif
