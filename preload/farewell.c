#include "farewell.h"

#include <string.h>

#include "log.h"
#include "thread.h"
#include "trace_file.h"

struct sums {
	uint64_t events, acquired, released, lost;
	struct unwind_counts unwind;
};

static void add_thread(struct thread *thread, void *context)
{
	struct sums *sums = context;

	sums->events += thread->ring.control->flushed_events + thread->ring_events;
	if (thread->ring.is_private) /* readers cannot see it */
		sums->lost += thread->ring_events;
	sums->acquired += thread->acquired;
	sums->released += thread->released;
	sums->unwind.checked += thread->unwind_counts.checked;
	sums->unwind.mismatches += thread->unwind_counts.mismatches;
	sums->unwind.fallbacks += thread->unwind_counts.fallbacks;
	sums->unwind.truncated += thread->unwind_counts.truncated;
}

static struct sums sum_up(void)
{
	struct sums sums = {0};

	thread_each(add_thread, &sums);
	return sums;
}

void farewell_counts(void)
{
	struct trace_header *header = trace_file_header();
	struct sums sums = sum_up();

	header->unwind_checked = sums.unwind.checked;
	header->unwind_mismatches = sums.unwind.mismatches;
	header->unwind_fallbacks = sums.unwind.fallbacks;
	header->unwind_truncated = sums.unwind.truncated;
	__atomic_fetch_add(&header->lost_events, sums.lost, __ATOMIC_RELAXED);
	header->end_events = sums.events - sums.lost;
	header->end_blocks = sums.acquired > sums.released ? sums.acquired - sums.released : 0;
}

/* "12.3 MB" to one decimal, in powers of 1024 as the other tools show them. */
static void add_bytes(struct text *text, uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	uint64_t tenths = bytes * 10;
	unsigned unit = 0;

	while (tenths >= 10240 && unit < 4) {
		tenths /= 1024;
		unit++;
	}
	text_add_number(text, tenths / 10);
	if (unit) {
		text_add(text, ".");
		text_add_number(text, tenths % 10);
	}
	text_add(text, " ");
	text_add(text, units[unit]);
}

static void add_things(struct text *text, uint64_t count, const char *thing)
{
	text_add_count(text, count);
	text_add(text, " ");
	text_add(text, thing);
	if (count != 1)
		text_add(text, "s");
}

static void add_lost(struct text *text, uint64_t lost)
{
	if (!lost)
		return;
	text_add(text, "memprof: ");
	add_things(text, lost, "event");
	text_add(text, " lost: the report says so too\n");
}

void farewell_say(void)
{
	static bool said;
	struct trace_header *header = trace_file_header();
	char buffer[2 * 4096 + 512];
	struct text text;

	if (said)
		return;
	said = true;
	text_init(&text, buffer, sizeof(buffer));
	text_add(&text, "memprof: recorded ");
	text_add_printable(&text, trace_file_path());
	text_add(&text, "\nmemprof: ");
	add_things(&text, header->end_events, "event");
	text_add(&text, ", peak RSS ");
	add_bytes(&text, header->peak_rss_bytes);
	text_add(&text, ", ");
	add_things(&text, header->end_blocks, "block");
	text_add(&text, " live at end\n");
	add_lost(&text, header->lost_events);
	text_add(&text, "memprof: next: memprof-report ");
	text_add_printable(&text, trace_file_path());
	text_add(&text, "\n");
	if (log_text(buffer, text_end(&text, buffer)))
		__atomic_fetch_or(&header->flags, TRACE_FLAG_SAID, __ATOMIC_RELAXED);
}
