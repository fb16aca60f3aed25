/* SPDX-License-Identifier: MIT */
/* Interfaces between the files of `urt sim`. */
#ifndef URT_SIM_COMMAND_H
#define URT_SIM_COMMAND_H

#include "../lib/tool.h"
#include <sys/types.h>

#define SIM_SETTING_MAX 512
#define SIM_JOBS_MAX	256

struct sim_seeds {
	uint64_t first, last;
	bool given;
};

struct sim_options {
	char **command;
	struct sim_seeds seeds;
	double time_s;	  /* 0: until the last seed */
	double timeout_s; /* of real time, for one run */
	long jobs;
	long workers;		    /* 0: by the seed */
	const char *faults;	    /* as in URT_SIM, or NULL */
	const char *trace;	    /* of a single run, or NULL */
	long switches, most_faults; /* -1: as many as the seed has */
	const char *library;	    /* file to write it to, or NULL */
	const char *output;
	bool json;
};

/* One run. */
struct sim_case {
	uint64_t seed;
	long switches, most_faults; /* the first ones only; -1: all */
	bool shown;		    /* it prints to our stdout and stderr */
};

/* The result of a run. */
struct sim_run {
	struct sim_case what;
	int status; /* wait(2)'s */
	bool late, hung;
	long switches, faults; /* that happened */
	int64_t simulated_ns;
	int exec_error;		 /* -errno: the command could not be run */
	bool loaded;		 /* the library was loaded */
	long rings;		 /* io_urings that it made */
	char not_simulated[512]; /* names, each followed by a newline */
	int output_fd;		 /* of a failed run that was not shown; or -1 */
};

/* The program, started once, of which one run after another is forked. */
struct sim_job {
	pid_t pid; /* 0: not yet */
	int socket, shared_fd, output_fd;
	int64_t limit_ns;
	int64_t until_ns, seen_ns; /* time limit; time of the last check */
	bool hung;
	struct sim_case what; /* the current run */
};

/* The result of all runs so far. */
struct sim_sweep {
	const struct sim_options *o;
	uint64_t next, done; /* seed to be tried, and number of runs */
	int64_t simulated_ns, begin_ns;
	long rings;
	char not_simulated[512]; /* of all runs, as in sim_run */
	bool failed;
	struct sim_run failure; /* the failed run with the smallest seed */
};

/* ---- sweep.c ---- */

/* Run one seed, which prints to our stdout and stderr; or the seeds until a run fails,
 * which is then shrunk. 0, or the exit code after an error message. */
int sim_sweep_one(struct sim_sweep *);
int sim_sweep(struct sim_sweep *);
/* The next of names that are each followed by a newline. */
const char *sim_next_name(const char *);

/* ---- print.c ---- */

void sim_print(FILE *, const struct sim_sweep *);

/* ---- run.c ---- */

/* The value of URT_SIM. */
void sim_setting(const struct sim_options *, const struct sim_case *, char *buf,
		 size_t size);
bool sim_library_write(int fd);
/* Begins a run; job->socket is readable when it has ended. nth: the job's number, which
 * selects its CPU. False: errno says why not. */
bool sim_job_begin(struct sim_job *, const struct sim_options *,
		   const struct sim_case *, unsigned nth);
/* Whether the run has ended; ends it if it is late, or has to stop. */
bool sim_job_ended(struct sim_job *, bool stop, struct sim_run *);
void sim_job_close(struct sim_job *);
bool sim_run_failed(const struct sim_run *);
void sim_run_show(const struct sim_run *);
void sim_run_close(struct sim_run *);
const char *sim_run_how(const struct sim_run *, char buf[64]);

/* ---- late.c ---- */

/* Whether the process has used less CPU time than the limit, and has a thread that
 * waits for a CPU or is stopped. */
bool sim_waits_for_cpu(pid_t, int64_t limit_ns);
/* Reports the state of its threads. */
void sim_tell_late(FILE *, pid_t);

#endif
