#include "oom.h"

#include <sys/resource.h>
#include <unistd.h>

/* More at once is asked for by nothing but sections of a large debug file, or by damage. */
#define BYTES_EXPECTED ((size_t)256 << 20)

/* Of the one thread there is. */
static unsigned depth;

void oom_fatal_begin(void)
{
	depth++;
}

void oom_fatal_end(void)
{
	depth--;
}

int oom_is_fatal(size_t bytes)
{
	return depth != 0 && bytes < BYTES_EXPECTED;
}

#ifdef OOM_NO_LIMIT
void oom_limit(void)
{
}
#else
void oom_limit(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
	struct rlimit limit;
	rlim_t bytes;

	if (pages <= 0 || page <= 0 || getrlimit(RLIMIT_DATA, &limit) != 0)
		return;
	bytes = (rlim_t)pages * (rlim_t)page / 4 * 3;
	if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur <= bytes)
		return;
	limit.rlim_cur = bytes;
	setrlimit(RLIMIT_DATA, &limit);
}
#endif
