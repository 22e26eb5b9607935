#include "resident.h"

#include <fcntl.h>
#include <string.h>

#include "clock.h"
#include "descriptor.h"
#include "stop.h"
#include "sys.h"
#include "trace_file.h"

#define INTERVAL_NS 10000000U

_Atomic uint64_t resident_next = UINT64_MAX;

static struct descriptor statm = DESCRIPTOR_NONE;

/*
 * Ticks in 10 ms, from the time since the start; too short a time gives nothing sensible, so then a
 * third of it.
 */
static uint64_t ticks_to_wait(uint64_t tick, uint64_t now_ns)
{
	uint64_t since = now_ns - trace_file_header()->start.monotonic_ns;

	if (since < 1000000)
		return tick / 3 + 100000;
	return (uint64_t)((double)tick / (double)since * INTERVAL_NS);
}

void resident_init(void)
{
	descriptor_close(&statm); /* a forked child's still shows the parent */
	atomic_store_explicit(&resident_next, 0, memory_order_relaxed);
}

static int statm_descriptor(void)
{
	int fd = descriptor_get(&statm);

	if (fd >= 0)
		return fd;
	fd = descriptor_open("/proc/self/statm", O_RDONLY, 0);
	if (fd < 0)
		return -1;
	if (descriptor_adopt(&statm, fd) < 0)
		SYS1(close, fd);
	return descriptor_get(&statm);
}

/* "size resident ..." in pages (proc_pid_statm(5)). */
static uint64_t read_statm(void)
{
	char text[128];
	const char *at = text;
	uint64_t pages = 0;
	long got = SYS4(pread64, statm_descriptor(), text, sizeof(text) - 1, 0);

	if (got <= 0)
		return 0;
	text[got] = 0;
	while (*at >= '0' && *at <= '9')
		at++;
	if (*at++ != ' ')
		return 0;
	for (; *at >= '0' && *at <= '9'; at++)
		pages = pages * 10 + (uint64_t)(*at - '0');
	return pages * trace_file_page();
}

static void refresh_header(uint64_t tick, uint64_t now_ns, uint64_t bytes)
{
	struct trace_header *header = trace_file_header();

	header->latest = (struct trace_clock){tick, now_ns};
	if (bytes > header->peak_rss_bytes)
		header->peak_rss_bytes = bytes;
}

/* VmHWM of /proc/self/status; ru_maxrss would include what the process was before an exec. */
void resident_final(void)
{
	struct trace_header *header = trace_file_header();
	char text[4096];
	long fd = SYS4(openat, AT_FDCWD, "/proc/self/status", O_RDONLY | O_CLOEXEC, 0);
	long got = fd < 0 ? fd : SYS4(pread64, fd, text, sizeof(text) - 1, 0);
	const char *line;
	uint64_t kilobytes = 0;

	if (fd >= 0)
		SYS1(close, fd);
	if (got <= 0)
		return;
	text[got] = 0;
	line = strstr(text, "VmHWM:");
	if (!line)
		return;
	for (line += strlen("VmHWM:"); *line == ' ' || *line == '\t'; line++)
		continue;
	for (; *line >= '0' && *line <= '9'; line++)
		kilobytes = kilobytes * 10 + (uint64_t)(*line - '0');
	if (kilobytes * 1024 > header->peak_rss_bytes)
		header->peak_rss_bytes = kilobytes * 1024;
}

uint64_t resident_take(uint64_t tick)
{
	uint64_t expected = atomic_load_explicit(&resident_next, memory_order_relaxed);
	uint64_t now_ns;
	uint64_t bytes;

	/*
	 * Whoever wins looks; the next look is due whether or not this one comes to its end, which
	 * a handler's longjmp may prevent.
	 */
	now_ns = clock_monotonic_ns();
	if (!atomic_compare_exchange_strong_explicit(&resident_next, &expected,
						     tick + ticks_to_wait(tick, now_ns),
						     memory_order_relaxed, memory_order_relaxed))
		return 0;
	STOP_POINT("resident.reading");
	bytes = read_statm();
	refresh_header(tick, now_ns, bytes);
	return bytes;
}
