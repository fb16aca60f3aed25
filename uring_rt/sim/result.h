/* SPDX-License-Identifier: MIT */
/* The results that a run gives to `urt sim`, in memory that both map. */
#ifndef URT_SIM_RESULT_H
#define URT_SIM_RESULT_H

#include <stdint.h>

struct sim_result {
	int64_t switches, faults; /* so far; `urt sim` shrinks runs by them */
	int64_t ns;		  /* simulated */
	int64_t loaded;		  /* 1: set by the library */
	int64_t pid;		  /* of the run */
	int64_t hung;		  /* 1: nothing could happen any more */
	int64_t rings;		  /* io_urings that it made */
	int64_t exec_error;	  /* -errno: the command could not be run */
	char not_simulated[512];  /* names of calls that it made, each followed
	                             by a newline */
};

#endif
