// SPDX-License-Identifier: MIT
/*
 * The seed's decisions: the dice, which faults happen, and the settings after
 * the seed in URT_SIM. `urt sim` learns the numbers of switches and faults, and
 * shrinks a run by allowing only the first of them.
 */
#define _GNU_SOURCE
#include "sim.h"
#include "result.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static uint64_t dice[SIM_DICE];
static unsigned switch_odds;
static long switches_left = -1, faults_left = -1; /* -1: without limit */
char sim_seed_text[512];
static struct sim_result own_result, *result = &own_result;
static struct {
	uint32_t per_million;
	long nth, seen;
} chance[SIM_FAULT_KINDS];

static const char *const fault_name[] = {
#define X(symbol, text, what) text,
	SIM_FAULTS(X)
#undef X
};

/* splitmix64 (Steele, Lea, Flood, 2014). */
static uint64_t draw(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

unsigned sim_random(enum sim_dice d, unsigned n)
{
	return (draw(&dice[d]) >> 16) % n;
}

bool sim_fault(enum sim_fault kind)
{
	bool hit = sim_random(SIM_FAULT, 1000000) < chance[kind].per_million;

	if (++chance[kind].seen == chance[kind].nth)
		hit = true;
	if (!hit || !sim_on || result->faults == faults_left)
		return false;
	result->faults++;
	sim_trace("fault: %s", fault_name[kind]);
	return true;
}

bool sim_switches(void)
{
	if (sim_random(SIM_SWITCH, switch_odds) ||
	    result->switches == switches_left)
		return false;
	result->switches++;
	return true;
}

void sim_tell_time(int64_t ns)
{
	result->ns = ns;
}

void sim_tell_pid(int pid)
{
	result->pid = pid;
}

void sim_tell_hang(void)
{
	result->hung = 1;
}

void sim_tell_ring(void)
{
	result->rings++;
}

void sim_tell_not_simulated(const char *name)
{
	size_t len = strlen(result->not_simulated);

	if (len + strlen(name) + 1 < sizeof(result->not_simulated))
		sprintf(result->not_simulated + len, "%s\n", name);
}

/* ---- settings ---------------------------------------------------------- */

void sim_share_result(void)
{
	const char *path = getenv("URT_SIM_RESULT");
	int fd = path ? sim_call(SYS_openat, AT_FDCWD, path, O_RDWR, 0) : -1;
	void *map;

	if (fd < 0)
		return;
	map = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE, MAP_SHARED,
		   fd, 0);
	if (map != MAP_FAILED)
		result = map;
	sim_call(SYS_close, fd);
}

static bool set_chance(const char *name, size_t len, const char *value)
{
	char *end;
	double v = strtod(value, &end);

	for (unsigned i = 0; i < SIM_FAULT_KINDS; i++) {
		if (strlen(fault_name[i]) != len ||
		    strncmp(fault_name[i], name, len))
			continue;
		if (*end == '%')
			chance[i].per_million = v * 10000;
		else
			chance[i].nth = v;
		return true;
	}
	return false;
}

/* "SEED,NAME=VALUE,..." */
void sim_read_options(const char *s)
{
	uint64_t seed = strtoull(s, NULL, 0);
	char workers[16];

	snprintf(sim_seed_text, sizeof(sim_seed_text), "%s", s);
	for (unsigned i = 0; i < SIM_DICE; i++) {
		dice[i] = seed * SIM_DICE + i;
		dice[i] = draw(&dice[i]);
	}
	chance[SIM_SHORT].per_million = 100000;
	chance[SIM_BLOCK].per_million = 2000;
	switch_odds = 2 << 2 * sim_random(SIM_SWITCH, 6);
	snprintf(workers, sizeof(workers), "%u", 1 + sim_random(SIM_SWITCH, 4));
	for (s = strchr(s, ','); s && *s; s = strchr(s, ',')) {
		size_t len = strcspn(++s, "=");
		const char *value = s + len + (s[len] == '=');

		if (!strncmp(s, "switches=", 9))
			switches_left = atol(value);
		else if (!strncmp(s, "faults=", 7))
			faults_left = atol(value);
		else if (!strncmp(s, "workers=", 8))
			snprintf(workers, sizeof(workers), "%d", atoi(value));
		else if (!set_chance(s, len, value))
			sim_say("URT_SIM: no such setting: \"%s\"", s);
	}
	setenv("URT_WORKERS", workers, 0);
	result->loaded = 1;
}
