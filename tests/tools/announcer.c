// SPDX-License-Identifier: MIT
/*
 * `announcer LIBRARY`: a program whose pointer to its context (OTEP 4947) is a
 * library's. Prints its number, where the pointer is from the thread pointer, the
 * number of the library, and where the pointer is in the library's block, and stays.
 */
#define _GNU_SOURCE
#include "../../uring_rt/base/announce.h"
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static const char key[1][URT__CONTEXT_KEY_MAX + 1] = { "http.route" };
	void *library, *block;
	char *pointer;
	size_t module;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
	pointer = library ? dlsym(library, "otel_thread_ctx_v1") : NULL;
	if (!pointer || dlinfo(library, RTLD_DI_TLS_MODID, &module) ||
	    dlinfo(library, RTLD_DI_TLS_DATA, &block) || urt__announce(key, 1))
		return 1;
	printf("%d %td %zu %td\n", getpid(),
	       pointer - (char *)__builtin_thread_pointer(), module,
	       pointer - (char *)block);
	fflush(stdout);
	for (;;)
		pause();
}
