/* SPDX-License-Identifier: MIT */
/* Interfaces between the files of `urt sim`. */
#ifndef URT_SIM_COMMAND_H
#define URT_SIM_COMMAND_H

#include "../lib/tool.h"
#include <sys/types.h>

#define SIM_SETTING_MAX 512

struct sim_seeds {
	uint64_t first, last;
};

struct sim_options {
	char **command;
	struct sim_seeds seeds;
	long time_s;	/* 0: until the last seed */
	long timeout_s; /* of real time, for one run */
	long jobs;
	long workers;		    /* 0: by the seed */
	const char *faults;	    /* as URT_SIM has them, or NULL */
	const char *trace;	    /* of a single run, or NULL */
	long switches, most_faults; /* -1: as many as the seed has */
	const char *library;	    /* to be written there, or NULL */
	const char *output;
	bool json;
};

/* One run. */
struct sim_case {
	uint64_t seed;
	long switches, most_faults; /* the first ones only; -1: all */
	bool shown;		    /* what it prints goes where ours does */
};

struct sim_run {
	struct sim_case what;
	pid_t pid;
	int pidfd, shared_fd, output_fd;
	int64_t until_ns;
	int status; /* wait(2)'s */
	bool late;
	long switches, faults; /* that there were */
	int64_t simulated_ns;
	int exec_error; /* -errno: the command could not be run */
	bool loaded;	/* the library was */
};

/* ---- run.c ---- */

/* The value of URT_SIM. */
void sim_setting(const struct sim_options *, const struct sim_case *, char *buf,
		 size_t size);
bool sim_library_write(int fd);
bool sim_run_start(const struct sim_options *, struct sim_run *,
		   const struct sim_case *, unsigned cpu);
/* Whether it has ended, perhaps because it is late, or is to stop. */
bool sim_run_over(struct sim_run *, bool stop);
bool sim_run_failed(const struct sim_run *);
void sim_run_show(const struct sim_run *);
void sim_run_close(struct sim_run *);
const char *sim_run_how(const struct sim_run *, char buf[64]);

#endif
