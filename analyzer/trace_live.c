/* A pid alone is reused; pid and start time (field 22 of /proc/PID/stat, proc(5)) are not. */
#include "trace_live.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define START_TIME_FIELD 22

/* Field 22 of a stat line, 0 when it is not there or the process is a zombie. */
static uint64_t start_time(char *stat)
{
	/* The name, field 2, may hold anything, blanks and parentheses too. */
	char *at = strrchr(stat, ')');

	if (at == NULL || at[1] != ' ' || at[2] == 'Z' || at[2] == 'X')
		return 0;
	at += 2;
	for (int field = 3; field < START_TIME_FIELD; field++) {
		at = strchr(at, ' ');
		if (at == NULL)
			return 0;
		at++;
	}
	return strtoull(at, NULL, 10);
}

bool trace_live(const struct trace_header *header, const char *host)
{
	char here[256] = "";
	char path[64];
	char stat[2048];
	ssize_t got;
	int fd;
	uint64_t started;

	gethostname(here, sizeof(here) - 1);
	if (host[0] != '\0' && strcmp(here, host) != 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%u/stat", header->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	got = read(fd, stat, sizeof(stat) - 1);
	close(fd);
	if (got <= 0)
		return false;
	stat[got] = '\0';
	started = start_time(stat);
	return started != 0 && started == header->process_start;
}
