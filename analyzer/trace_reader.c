/*
 * Two walks over the segments: the first copies the rings, the second indexes all the rest. Then
 * the index is put in order, and what is missing is counted from the ordinals.
 */
#include "trace_reader.h"

#include "trace_live.h"
#include "trace_nodes.h"
#include "trace_rings.h"
#include "trace_segments.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define PAGE_SIZE_MAX (64 * 1024)

void trace_damage_add(struct trace_damage *damage, uint64_t bytes, const char *what, ...)
{
	va_list arguments;

	damage->bad_segments++;
	damage->bad_bytes += bytes;
	if (damage->first[0] != '\0')
		return;
	va_start(arguments, what);
	vsnprintf(damage->first, sizeof(damage->first), what, arguments);
	va_end(arguments);
}

static uint64_t header_hash(const struct trace_header *header)
{
	return XXH3_64bits(header, offsetof(struct trace_header, checksum));
}

/* Another version, or ours with a flipped byte where the version stands? */
static bool version_flipped(const struct trace_header *header)
{
	struct trace_header ours = *header;

	ours.version = TRACE_VERSION;
	return header_hash(&ours) == header->checksum;
}

static int check_magic(struct trace_reader *reader, char *error, size_t error_bytes)
{
	const struct trace_header *header = &reader->header;

	if (reader->file.size == 0) {
		snprintf(error, error_bytes, "is empty: record the program again");
		return -EINVAL;
	}
	if (header->magic == __builtin_bswap64(TRACE_MAGIC)) {
		snprintf(error, error_bytes,
			 "was recorded on a machine of the other byte order: "
			 "use memprof-report there");
		return -EINVAL;
	}
	if (header->magic != TRACE_MAGIC) {
		snprintf(error, error_bytes,
			 "is not a memprof trace: record one with `memprof run`");
		return -EINVAL;
	}
	if (header->version > TRACE_VERSION && !version_flipped(header)) {
		snprintf(error, error_bytes,
			 "written by a newer memprof (version %u): use that version's "
			 "memprof-report",
			 header->version);
		return -EPROTO;
	}
	return 0;
}

static void check_header(struct trace_reader *reader)
{
	struct trace_header *header = &reader->header;

	if (reader->file.size < TRACE_HEADER_BYTES)
		reader->damage.cut = true;
	reader->header_sound = header_hash(header) == header->checksum;
	if (!reader->header_sound)
		trace_damage_add(&reader->damage, 0, "bad header at offset 0");
	if (header->page_size < TRACE_HEADER_BYTES || header->page_size > PAGE_SIZE_MAX ||
	    (header->page_size & (header->page_size - 1)) != 0)
		header->page_size = TRACE_HEADER_BYTES;
}

/*
 * Zeros are what a kill leaves between reserving and writing, and what alignment leaves; that
 * something is missing from them shows in the ordinals. Anything else was a segment once.
 */
static void judge_gap(struct trace_reader *reader, const struct trace_gap *gap, bool at_end)
{
	if (gap->bytes == 0 || gap->zeros)
		return;
	if (at_end && gap->bytes < sizeof(struct trace_segment)) {
		reader->damage.cut = true;
		return;
	}
	trace_damage_add(&reader->damage, gap->bytes, "no segment at offset %llu",
			 (unsigned long long)gap->offset);
}

static int index_segments(struct trace_reader *reader)
{
	struct trace_scratch scratch = {0};
	struct trace_scan scan;
	struct trace_head head;
	int rc = 0;

	trace_scan_init(&scan, &reader->file);
	while (rc == 0 && trace_scan_next(&scan, &head)) {
		judge_gap(reader, &head.gap, false);
		rc = trace_segment_index(reader, &head, &scratch);
	}
	if (rc == 0)
		judge_gap(reader, &head.gap, true);
	free(scratch.bytes);
	return rc;
}

static int compare_events(const void *a, const void *b)
{
	const struct trace_events_info *x = a, *y = b;

	if (x->ring != y->ring)
		return x->ring < y->ring ? -1 : 1;
	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Orders the segments of each ring and drops those that repeat words of another. */
static void order_events(struct trace_reader *reader)
{
	size_t kept = 0;

	if (reader->event_segments == 0)
		return;
	qsort(reader->events, reader->event_segments, sizeof(*reader->events), compare_events);
	for (size_t i = 0; i < reader->event_segments; i++) {
		const struct trace_events_info *info = &reader->events[i];

		if (kept != 0 && reader->events[kept - 1].ring == info->ring &&
		    reader->events[kept - 1].to > info->from)
			trace_damage_add(&reader->damage, info->payload_bytes,
					 "repeated events at offset %llu",
					 (unsigned long long)info->offset);
		else
			reader->events[kept++] = *info;
	}
	reader->event_segments = kept;
}

/* Counts what the ordinals of one ring say is missing; segments [first, end) are its own. */
static void count_lost(struct trace_reader *reader, const struct trace_ring_copy *ring,
		       size_t first, size_t end)
{
	uint64_t expected = 0;
	uint64_t unrecorded = 0;
	uint64_t gaps = 0;

	for (size_t i = first; i < end; i++) {
		const struct trace_events_info *info = &reader->events[i];

		if (info->first_event > expected)
			gaps += info->first_event - expected;
		expected = info->first_event + info->events;
		if (info->unrecorded > unrecorded)
			unrecorded = info->unrecorded;
	}
	if (ring != NULL) {
		if (ring->control.flushed_events > expected)
			gaps += ring->control.flushed_events - expected;
		if (ring->control.lost_events > unrecorded)
			unrecorded = ring->control.lost_events;
	}
	/* What the recorder gave up, and said so, is a gap too. */
	if (gaps > unrecorded)
		reader->damage.lost_events += gaps - unrecorded;
	reader->unrecorded_events += unrecorded;
}

static void count_all_lost(struct trace_reader *reader)
{
	size_t ring = 0;
	size_t i = 0;

	while (i < reader->event_segments || ring < reader->ring_count) {
		uint32_t of_events =
		    i < reader->event_segments ? reader->events[i].ring : UINT32_MAX;
		uint32_t of_rings =
		    ring < reader->ring_count ? reader->rings[ring].index : UINT32_MAX;
		size_t end = i;

		if (of_events <= of_rings)
			while (end < reader->event_segments &&
			       reader->events[end].ring == of_events)
				end++;
		count_lost(reader,
			   ring < reader->ring_count && of_rings <= of_events ? &reader->rings[ring]
									      : NULL,
			   i, end);
		if (ring < reader->ring_count && of_rings <= of_events)
			ring++;
		i = end;
	}
}

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static uint32_t find_u32(const uint32_t *sorted, size_t count, uint32_t value)
{
	const uint32_t *at = bsearch(&value, sorted, count, sizeof(value), compare_u32);

	return (uint32_t)(at - sorted);
}

/* Serial numbers of threads come from the file; indices from 0 are what tables can be made of. */
static int number_threads(struct trace_reader *reader)
{
	size_t count = reader->event_segments + reader->ring_count;
	uint32_t *serials = malloc(count * sizeof(*serials) + 1);
	size_t n = 0, kept = 0;

	if (serials == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < reader->event_segments; i++)
		serials[n++] = reader->events[i].thread;
	for (size_t i = 0; i < reader->ring_count; i++)
		if (reader->rings[i].word_count != 0)
			serials[n++] = reader->rings[i].control.thread;
	qsort(serials, n, sizeof(*serials), compare_u32);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || serials[kept - 1] != serials[i])
			serials[kept++] = serials[i];
	for (size_t i = 0; i < reader->event_segments; i++)
		reader->events[i].thread = find_u32(serials, kept, reader->events[i].thread);
	for (size_t i = 0; i < reader->ring_count; i++)
		if (reader->rings[i].word_count != 0)
			reader->rings[i].thread =
			    find_u32(serials, kept, reader->rings[i].control.thread);
	reader->threads = (uint32_t)kept;
	free(serials);
	return 0;
}

/*
 * The header has it. If that is damaged, the least of all segments: where there are several
 * threads some are written at that quantum, and a single stream needs none.
 */
static uint32_t merge_shift(const struct trace_reader *reader)
{
	uint32_t least = TRACE_TICK_SHIFT_MAX;

	if (reader->header_sound && reader->header.tick_shift <= TRACE_TICK_SHIFT_MAX)
		return reader->header.tick_shift;
	if (reader->event_segments == 0)
		return 0;
	for (size_t i = 0; i < reader->event_segments; i++)
		if (reader->events[i].tick_shift < least)
			least = reader->events[i].tick_shift;
	return least;
}

static void summarize_events(struct trace_reader *reader)
{
	reader->tick_shift = merge_shift(reader);
	for (size_t i = 0; i < reader->event_segments; i++) {
		const struct trace_events_info *info = &reader->events[i];

		if (info->last_tick > reader->last_tick)
			reader->last_tick = info->last_tick;
		if (info->clock.tick > reader->clock.tick)
			reader->clock = info->clock;
		if (reader->clock_first.tick == 0 || info->clock.tick < reader->clock_first.tick)
			reader->clock_first = info->clock;
	}
}

static int default_strings(struct trace_process_info *process)
{
	char **all[] = {&process->exe, &process->cmdline, &process->host, &process->cwd};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (*all[i] == NULL)
			*all[i] = calloc(1, 1);
		if (*all[i] == NULL)
			return -ENOMEM;
	}
	return 0;
}

/*
 * A library that was loaded as "./plug.so" is recorded so: it lies below the folder that the
 * process started in, unless it went elsewhere since, which the build-id tells. What has no slash
 * is no path: "[vdso]".
 */
static int absolute_paths(struct trace_reader *reader)
{
	const char *cwd = reader->process.cwd;

	if (cwd[0] != '/')
		return 0;
	for (size_t i = 0; i < reader->module_count; i++) {
		struct trace_module_info *info = &reader->modules[i];
		const char *relative = info->path;
		char *path;

		if (relative[0] == '/' || strchr(relative, '/') == NULL)
			continue;
		while (strncmp(relative, "./", 2) == 0)
			relative += 2;
		if (asprintf(&path, "%s/%s", cwd[1] == '\0' ? "" : cwd, relative) < 0)
			return -ENOMEM;
		free(info->path);
		info->path = path;
	}
	return 0;
}

/* What changes while recording goes on: looked at last, so that it covers what was indexed. */
static void reread_header(struct trace_reader *reader)
{
	size_t from = offsetof(struct trace_header, tail);

	memset((char *)&reader->header + from, 0, sizeof(reader->header) - from);
	trace_file_read(&reader->file, from, (char *)&reader->header + from,
			sizeof(reader->header) - from);
}

/*
 * A file that was cut lacks what the header says was written; whatever was in that, the ordinals
 * tell only some of it. A process killed between reserving and writing leaves such a tail too, and
 * loses nothing by it; likewise one that ended while another of its threads was writing.
 */
static void judge_tail(struct trace_reader *reader)
{
	uint64_t tail = reader->header.tail, size = reader->file.size;
	struct trace_damage *damage = &reader->damage;

	if (reader->running || tail <= size)
		return;
	if (reader->header.end != TRACE_END_NONE && reader->header.writing == 0)
		damage->cut = true;
	if (!damage->cut)
		return;
	damage->bad_bytes += tail - size;
	if (damage->first[0] == '\0')
		snprintf(damage->first, sizeof(damage->first),
			 "the file ends at %llu of %llu bytes", (unsigned long long)size,
			 (unsigned long long)tail);
}

static int read_all(struct trace_reader *reader)
{
	int rc;

	/* Asked before reading, so that a process which ends meanwhile is not called damaged. */
	reader->running = reader->header.end == TRACE_END_NONE && trace_live(&reader->header, "");
	rc = trace_rings_copy(reader);
	if (rc != 0)
		return rc;
	trace_file_refresh(&reader->file);
	rc = index_segments(reader);
	if (rc == 0)
		rc = trace_nodes_settle(reader);
	if (rc != 0)
		return rc;
	rc = default_strings(&reader->process);
	if (rc == 0)
		rc = absolute_paths(reader);
	if (rc != 0)
		return rc;
	reread_header(reader);
	reader->running = reader->header.end == TRACE_END_NONE &&
			  trace_live(&reader->header, reader->process.host);
	judge_tail(reader);
	order_events(reader);
	rc = trace_rings_add_stages(reader);
	if (rc != 0)
		return rc;
	order_events(reader);
	count_all_lost(reader);
	/* The header counts what the rings count, and what found no ring. */
	if (reader->header.lost_events > reader->unrecorded_events)
		reader->unrecorded_events = reader->header.lost_events;
	summarize_events(reader);
	return number_threads(reader);
}

int trace_reader_open(const char *path, struct trace_reader **out, char *error, size_t error_bytes)
{
	struct trace_reader *reader = calloc(1, sizeof(*reader));
	int rc;

	if (reader == NULL) {
		snprintf(error, error_bytes, "not enough memory");
		return -ENOMEM;
	}
	reader->file.fd = -1;
	rc = trace_file_open(&reader->file, path, error, error_bytes);
	if (rc == 0) {
		trace_file_read(&reader->file, 0, &reader->header, sizeof(reader->header));
		rc = check_magic(reader, error, error_bytes);
	}
	if (rc == 0) {
		check_header(reader);
		rc = read_all(reader);
		if (rc != 0)
			snprintf(error, error_bytes, "not enough memory to index it");
	}
	if (rc != 0) {
		trace_reader_free(reader);
		return rc;
	}
	*out = reader;
	return 0;
}

void trace_reader_free(struct trace_reader *reader)
{
	if (reader == NULL)
		return;
	trace_file_close(&reader->file);
	for (size_t i = 0; i < reader->module_count; i++) {
		free(reader->modules[i].build_id);
		free(reader->modules[i].path);
	}
	trace_rings_free(reader);
	free(reader->process.exe);
	free(reader->process.cmdline);
	free(reader->process.host);
	free(reader->process.cwd);
	free(reader->modules);
	free(reader->unloads);
	free(reader->events);
	free(reader->nodes.offsets);
	free(reader->wide.offsets);
	for (size_t i = 0; i < reader->window_count; i++)
		free(reader->windows[i].words);
	free(reader->windows);
	free(reader->packed);
	free(reader);
}
